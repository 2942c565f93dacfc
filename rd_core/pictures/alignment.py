"""Alignment: where the part of an image lies against the median normal, and the image moved back onto it.

The shift comes from the cross-correlation of high-passed grey images, by scikit-image's `phase_cross_correlation`,
the rotation from that of their spectra's magnitudes in polar coordinates, which a shift leaves as they are (Reddy and
Chatterji, "An FFT-based technique for translation, rotation, and scale-invariant image registration", IEEE
Transactions on Image Processing, 1996). Spectra are high-passed, not whitened as phase correlation does: on smooth
parts whitened noise outvotes the part.
"""

import base64
import importlib.util
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rd_core.errors import AlignmentUnavailable, NoCommonPart, ViewImpossible
from rd_core.pictures.images import Images
from rd_core.settings import Record

AlignmentKind = Literal["shift", "rigid"]
Grey = NDArray[np.float32]
"""(h, w), [0, 1]"""

OFFSET_COLUMNS = ("offset_x", "offset_y", "rotation")
"""of a score row, in the order of `Offset`"""
SIDE = 256
"""pixels of the template's longer side"""
MOST_NORMALS = 32
"""normals that the template is the median of"""
CHANCE = 0.3
"""correlation that images of other parts may reach: of ten kinds of foreign images on two parts, none passed 0.28"""
LEAST_OF_NORMALS = 0.4
"""correlation that nine of ten normals must reach"""
_PARTS_OF_A_PIXEL = 10
_COARSEST = SIDE / 16
"""standard deviation, in pixels, of the blur that the high-pass subtracts: uneven light is smoother"""
_ANGLES = 180
"""steps of half a turn"""
_FREQUENCIES = slice(8, 96)
"""radii of the spectrum that tell the rotation: lower ones are the light, higher ones noise"""
_ROUNDS = 2
"""times that normals are aligned to their median, and a sharper median is taken"""


class Offset(NamedTuple):
    """Where the part of an image lies against the median normal: turned about the image's centre, then moved."""

    x: float
    """pixels of the image to the right"""
    y: float
    """pixels downwards"""
    rotation: float = 0.0
    """degrees clockwise, as seen with rows downwards"""

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self | None:
        """Of a score row; None for an image that was not aligned."""
        x, y, rotation = map(row.get, OFFSET_COLUMNS)
        return None if x is None or y is None or rotation is None else cls(x, y, rotation)

    def matrix(self, height: int, width: int) -> NDArray[np.float64]:
        """(2, 3): from a place (x, y, 1) in the aligned image to the place in the original, both of this size, in
        pixels from the upper left corner."""
        angle = math.radians(self.rotation)
        cos, sin = math.cos(angle), math.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        centre = np.array([width / 2, height / 2])
        return np.column_stack([turn, centre - turn @ centre + (self.x, self.y)])

    def scaled(self, size: tuple[int, int], other: tuple[int, int]) -> "Offset":
        """The same for an image of the size (height, width) `size`, drawn at the size `other`."""
        return self._replace(x=self.x * other[1] / size[1], y=self.y * other[0] / size[0])

    def aligned(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image uint8 (H, W) or (H, W, 3) with the part at the median normal's place. What lies beyond its border
        is mirrored: edges go on, and none is invented. A whole number of pixels changes no value."""
        height, width = image.shape[:2]
        margin = self._reach(height, width)
        channels = [(0, 0)] * (image.ndim - 2)
        wide = Image.fromarray(np.pad(image, [(margin, margin), (margin, margin), *channels], mode="symmetric"))
        matrix = self.matrix(height, width)
        matrix[:, 2] += margin
        return _transformed(wide, matrix, (width, height), self._resampling)

    def aligned_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask bool (H, W) of the original, on the aligned image; False beyond the original's border."""
        height, width = mask.shape
        image, matrix = Image.fromarray(mask.astype(np.uint8)), self.matrix(height, width)
        aligned = np.array(_transformed(image, matrix, (width, height), Image.Resampling.NEAREST) > 0)
        # A turned grid steps over some pixels, and a defect may be one of them.
        rows, columns = np.nonzero(mask)
        x, y = np.floor(np.linalg.solve(matrix[:, :2], np.stack([columns, rows]) + 0.5 - matrix[:, 2:])).astype(int)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        aligned[y[inside], x[inside]] = True
        return aligned

    def covered(
        self, size: tuple[int, int], box: tuple[int, int, int, int], grid: tuple[int, int]
    ) -> NDArray[np.bool_]:
        """bool `grid`: which parts of the box (top, left, height, width) of an aligned image of `size` (height,
        width) have their centre in the original."""
        top, left, height, width = box
        y = top + (np.arange(grid[0])[:, None] + 0.5) * height / grid[0]
        x = left + (np.arange(grid[1]) + 0.5) * width / grid[1]
        (a, b, c), (d, e, f) = self.matrix(*size).tolist()
        across, down = a * x + b * y + c, d * x + e * y + f
        inside: NDArray[np.bool_] = (across > 0) & (across < size[1]) & (down > 0) & (down < size[0])
        return inside

    def restored(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values (H, W) of the aligned image's pixels, on the original; 0 beyond its border."""
        height, width = values.shape
        back = np.linalg.inv(np.vstack([self.matrix(height, width), (0, 0, 1)]))[:2]
        return _transformed(Image.fromarray(values), back, (width, height), Image.Resampling.BILINEAR)

    def original_box(self, box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(top, left, height, width) in the aligned image of `size` (height, width) -> the box around it in the
        original, rounded outwards and cut at the border."""
        top, left, tall, wide = box
        corners = np.array([(x, y, 1) for x in (left, left + wide) for y in (top, top + tall)])
        places = (self.matrix(*size) @ corners.T).round(3)  # else rounding errors add a pixel
        limits = np.array([size[1], size[0]])
        left, top = np.clip(np.floor(places.min(axis=1)), 0, limits - 1).astype(int).tolist()
        right, bottom = np.clip(np.ceil(places.max(axis=1)), 1, limits).astype(int).tolist()
        return top, left, max(1, bottom - top), max(1, right - left)

    @property
    def _resampling(self) -> Image.Resampling:
        whole = not self.rotation and float(self.x).is_integer() and float(self.y).is_integer()
        return Image.Resampling.NEAREST if whole else Image.Resampling.BICUBIC

    def _reach(self, height: int, width: int) -> int:
        """Pixels beyond the border that the aligned image shows, with two for the interpolation."""
        corners = np.array([(x, y, 1) for x in (0, width) for y in (0, height)])
        places = (self.matrix(height, width) @ corners.T).T
        return math.ceil(max(0, -places.min(), *(places - (width, height)).max(axis=0))) + 2


@dataclass(frozen=True)
class Alignment(Record):
    """The median normal, and how images are moved onto it. It holds all that this needs."""

    kind: AlignmentKind
    """"shift": by whole pixels, so that nothing is interpolated; "rigid": by parts of pixels, and turned"""
    template: str
    """the median normal, grey, SIDE pixels on the longer side: a PNG in base64"""
    least_correlation: float
    """of an image with the template, (0, 1); one below it does not show the part"""

    def offset(self, image: NDArray[np.uint8]) -> Offset:
        """Where the part of the image uint8 (H, W, 3) lies. Raises ViewImpossible for an image that does not
        look like the part, AlignmentUnavailable."""
        template = _template(self.template)
        small = small_grey(image, template.grey.shape)
        found = template.best_match(small, turns=self.kind == "rigid")
        if found.correlation < self.least_correlation:
            raise ViewImpossible(
                f"does not look like the part: correlation {found.correlation:.2f} with the median normal, at least "
                f"{self.least_correlation:.2f} is asked"
            )
        (height, width), (rows, columns) = image.shape[:2], template.grey.shape
        x, y = found.x * width / columns, found.y * height / rows
        if self.kind == "shift":
            return Offset(round(x), round(y))
        return Offset(*np.array([x, y, found.rotation], np.float32).tolist())  # as score rows keep it


class Match(NamedTuple):
    """Where the template lies in an image of its size."""

    x: float
    y: float
    """pixels"""
    rotation: float
    """degrees"""
    correlation: float
    """[-1, 1]"""


def fit_alignment(kind: AlignmentKind, normals: Images) -> Alignment:
    """The median of up to MOST_NORMALS normals, taken evenly.

    Half of the normals are judged by the median of the others, and the reverse. An image's least correlation is half
    way between CHANCE and the lowest of theirs. Raises NoCommonPart where they do not reach LEAST_OF_NORMALS,
    AlignmentUnavailable.
    """
    numbers = np.unique(np.linspace(0, len(normals) - 1, min(len(normals), MOST_NORMALS)).round().astype(int))
    greys = _of_one_shape([_thumbnail(normals[int(number)]) for number in numbers])
    turns = kind == "rigid"
    halves = greys[::2], greys[1::2] or greys
    correlations: list[float] = []
    for fitted, others in (halves, halves[::-1]):
        template = _Template(_median(fitted, turns))
        correlations += [template.best_match(grey, turns=turns).correlation for grey in others]
    reached = float(np.quantile(correlations, 0.1))
    if reached < LEAST_OF_NORMALS:
        raise NoCommonPart(
            f"the normals do not show one part at about one place: one in ten has a correlation below {reached:.2f} "
            f"with the median of the others, and alignment needs {LEAST_OF_NORMALS}. Nothing was trained. Set "
            'align = "none" for this category, or give each view of the part a category of its own.'
        )
    least = max(CHANCE, (CHANCE + min(correlations)) / 2)
    return Alignment(kind, _encoded(_median(greys, turns)), round(least, 3))


def require_alignment() -> None:
    """Raises AlignmentUnavailable without scikit-image."""
    if importlib.util.find_spec("skimage") is None:
        raise AlignmentUnavailable(
            "align needs scikit-image, which is not installed here, so no image could be moved onto the part's "
            "place. Install the extra on every worker: pip install 'rd-inspect[alignment]'"
        )


def small_grey(image: NDArray[np.uint8], shape: tuple[int, ...]) -> Grey:
    """uint8 (H, W, 3) -> its grey values at this shape."""
    height, width = shape
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return _shares(np.asarray(resized.convert("L")))


class _Template:
    """A median normal with what every match needs of it."""

    def __init__(self, grey: Grey) -> None:
        require_alignment()
        self.grey = grey
        self._spectrum = _spectrum(grey)
        self._polar = _polar_magnitudes(self._spectrum)

    def best_match(self, grey: Grey, *, turns: bool) -> Match:
        """Of an image of the template's shape. With `turns` the rotation found, half a turn more, and none compete
        by their correlation."""
        if np.ptp(grey) == 0:
            return Match(0.0, 0.0, 0.0, 0.0)
        spectrum = _spectrum(grey)
        straight = self._shift(spectrum, 0.0)
        if not turns:
            return straight
        steps, _, _ = _registered(self._polar, _polar_magnitudes(spectrum))
        rotation = -float(steps[0]) * 180 / _ANGLES
        turned = _moved(grey, Offset(0, 0, rotation))
        half = rotation - math.copysign(180, rotation)
        return max(
            straight,
            self._shift(_spectrum(turned), rotation),
            self._shift(_spectrum(np.ascontiguousarray(turned[::-1, ::-1])), half),
            key=lambda one: one.correlation,
        )

    def _shift(self, spectrum: NDArray[np.complex64], rotation: float) -> Match:
        """The match of an image that was turned back by `rotation`."""
        moved, error, phase = _registered(self._spectrum, spectrum, space="fourier")
        size = math.sqrt(max(0.0, 1 - float(error) ** 2))
        y, x = (-float(one) for one in moved)
        angle = math.radians(rotation)  # the shift was measured after turning back
        return Match(
            x * math.cos(angle) - y * math.sin(angle),
            x * math.sin(angle) + y * math.cos(angle),
            rotation,
            math.copysign(size, math.cos(float(phase))),
        )


def _registered(reference: NDArray[Any], moving: NDArray[Any], space: str = "real") -> Any:
    from skimage.registration import phase_cross_correlation  # noqa: PLC0415  # an extra, which most categories do without

    return phase_cross_correlation(
        reference, moving, upsample_factor=_PARTS_OF_A_PIXEL, space=space, normalization=None
    )


def _spectrum(grey: Grey) -> NDArray[np.complex64]:
    """(SIDE, SIDE), of the high-passed image in the middle of nothing."""
    from scipy import fft  # noqa: PLC0415  # every process of a night imports this module, few align

    square = np.zeros((SIDE, SIDE), np.float32)
    top, left = ((SIDE - side) // 2 for side in grey.shape)
    square[top : top + grey.shape[0], left : left + grey.shape[1]] = grey - grey.mean()
    spectrum: NDArray[np.complex64] = fft.fft2(square) * _high_pass()
    return spectrum


def _polar_magnitudes(spectrum: NDArray[np.complex64]) -> NDArray[np.float64]:
    """(_ANGLES, R): logarithms of the windowed image's magnitudes over half a turn and the middle radii."""
    from scipy import fft  # noqa: PLC0415  # every process of a night imports this module, few align
    from skimage.transform import warp_polar  # noqa: PLC0415  # an extra, which most categories do without

    image = fft.ifft2(spectrum).real * np.outer(
        np.hanning(SIDE), np.hanning(SIDE)
    )  # else the border's cross outvotes
    magnitude = np.abs(fft.fftshift(fft.fft2(image)))
    polar = warp_polar(magnitude, radius=SIDE // 2, output_shape=(2 * _ANGLES, SIDE // 2), order=1)
    polar = polar[:_ANGLES, _FREQUENCIES]
    polar = np.log1p(10 * polar / max(float(polar.mean()), 1e-12))
    middle: NDArray[np.float64] = polar - polar.mean()
    return middle


@lru_cache(maxsize=1)
def _high_pass() -> NDArray[np.float32]:
    frequency = np.fft.fftfreq(SIDE)
    squares = frequency[:, None] ** 2 + frequency**2
    return (1 - np.exp(-2 * np.pi**2 * _COARSEST**2 * squares)).astype(np.float32)


def _median(greys: Sequence[Grey], turns: bool) -> Grey:
    """The median of the images, aligned."""
    median = np.median(greys, axis=0).astype(np.float32)
    for _ in range(_ROUNDS):
        template = _Template(median)
        moved = [_moved(grey, Offset(*template.best_match(grey, turns=turns)[:3])) for grey in greys]
        median = np.median(moved, axis=0).astype(np.float32)
    return median


def _moved(grey: Grey, offset: Offset) -> Grey:
    return _shares(offset.aligned(np.round(grey * 255).astype(np.uint8)))


def _shares(grey: NDArray[np.uint8]) -> Grey:
    shares: Grey = np.divide(grey, 255, dtype=np.float32)
    return shares


def _thumbnail(image: NDArray[np.uint8]) -> Grey:
    """The image with SIDE pixels on its longer side."""
    scale = SIDE / max(image.shape[:2])
    return small_grey(image, tuple(max(1, round(side * scale)) for side in image.shape[:2]))


def _of_one_shape(greys: Sequence[Grey]) -> list[Grey]:
    """All in the shape that most have."""
    shapes = [grey.shape for grey in greys]
    height, width = max(sorted(set(shapes)), key=shapes.count)
    return [
        grey if grey.shape == (height, width) else np.asarray(Image.fromarray(grey).resize((width, height)))
        for grey in greys
    ]


def _encoded(grey: Grey) -> str:
    out = io.BytesIO()
    Image.fromarray(np.round(grey * 255).astype(np.uint8)).save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


@lru_cache(maxsize=8)
def _template(encoded: str) -> _Template:
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        return _Template(_shares(np.asarray(image)))


def _transformed(
    image: Image.Image, matrix: NDArray[np.float64], size: tuple[int, int], resampling: Image.Resampling
) -> NDArray[Any]:
    """(height, width, ...): each pixel from where `matrix` sends its centre."""
    return np.asarray(image.transform(size, Image.Transform.AFFINE, matrix.ravel().tolist(), resample=resampling))
