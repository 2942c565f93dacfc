"""Synthetic defects, drawn into normal images for training. They need not look real.

The student learns to return normal features for any input (as in DeSTSeg and RD++, CVPR 2023), so it cannot reproduce
an unseen defect; the discriminators learn what differs from normal. Sources: DRAEM (ICCV 2021) for textures inside a
cloud, CutPaste (CVPR 2021) for pasted pieces.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from rd_core.pictures.images import Images, counted_of
from rd_core.pictures.preprocessing import resize

Picture = NDArray[np.float32]
"""(H, W, 3) in [0, 1]"""
Mask = NDArray[np.bool_]
Generator = np.random.Generator
Defect = Callable[[Picture, Picture, Generator], Picture]
"""(picture, donor of the same size, random numbers) -> picture with a defect"""

VISIBLE = 0.04
"""least change of a channel in a changed pixel; smaller ones drown in camera noise"""
FEWEST_PIXELS = 6
ATTEMPTS = 20
SECOND_DEFECT = 0.35
"""share of images with two defects"""
REFERENCE_SIDE = 160
"""image side, in pixels, to which the sizes below refer"""


def foreign_texture(picture: Picture, donor: Picture, rng: Generator) -> Picture:
    """A cloud-shaped patch of the donor: shifted, rotated by right angles where it fits, with changed contrast."""
    scale = _scale(picture)
    cover = _cloud(rng, picture, cell=rng.uniform(2, 12) * scale, above=rng.uniform(0.3, 1.2))
    cover = (cover * _window(rng, picture, rng.uniform(6, 40, 2) * scale))[..., None]
    height, width = picture.shape[:2]
    texture = np.roll(donor, (rng.integers(height), rng.integers(width)), axis=(0, 1))
    turns = int(rng.integers(4)) if height == width else 2 * int(rng.integers(2))
    texture = (np.rot90(texture, turns) - 0.5) * rng.uniform(0.6, 1.4) + 0.5 + rng.uniform(-0.25, 0.25)
    return picture * (1 - cover) + np.clip(texture, 0, 1) * cover


def pasted_piece(picture: Picture, _donor: Picture, rng: Generator) -> Picture:
    """A block or a narrow strip of the picture, pasted elsewhere, slightly lighter or darker."""
    scale = _scale(picture)
    sides = (rng.uniform(2, 5), rng.uniform(8, 28)) if rng.random() < 0.5 else tuple(rng.uniform(3, 14, 2))
    height, width = rng.permutation([max(2, int(side * scale)) for side in sides])
    (top, left), (row, column) = (
        (rng.integers(picture.shape[0] - height), rng.integers(picture.shape[1] - width)) for _ in range(2)
    )
    piece = picture[top : top + height, left : left + width]
    if rng.random() < 0.3:
        piece = piece[::-1, ::-1]
    defective = picture.copy()
    defective[row : row + height, column : column + width] = piece + rng.uniform(-0.1, 0.1)
    return defective


def changed_light(picture: Picture, _donor: Picture, rng: Generator) -> Picture:
    """A cloud that darkens or lightens the picture."""
    scale = _scale(picture)
    cloud = np.minimum(2 * _cloud(rng, picture, cell=rng.uniform(2, 8) * scale, above=rng.uniform(0.3, 1.0)), 1)
    cover = (cloud * _window(rng, picture, rng.uniform(5, 30, 2) * scale))[..., None]
    return picture * (1 + rng.choice([-1, 1]) * rng.uniform(0.2, 0.8) * cover)


def bar(picture: Picture, _donor: Picture, rng: Generator) -> Picture:
    """A straight bar, from a speck to a long scratch, in a colour of the picture or another one."""
    scale = _scale(picture)
    height, width = picture.shape[:2]
    angle, centre = rng.uniform(0, np.pi), rng.uniform(0.1, 0.9, 2) * (height, width)
    along, across = _turned(picture, centre, angle)
    inside = (np.abs(along) < rng.uniform(1.5, 20) * scale) & (np.abs(across) < rng.uniform(0.4, 2) * scale)
    cover = gaussian_filter(inside.astype(np.float32), rng.uniform(0, 0.8) * scale)[..., None]
    own = picture[rng.integers(height), rng.integers(width)]
    foreign = np.clip(picture.mean(axis=(0, 1)) + rng.uniform(-0.4, 0.4), 0, 1)
    return picture * (1 - cover) + (own if rng.random() < 0.6 else foreign) * cover


def stain(picture: Picture, _donor: Picture, rng: Generator) -> Picture:
    """A wide oval, slightly darker or lighter, half of the time tinted."""
    scale = _scale(picture)
    centre = rng.uniform(0, 1, 2) * picture.shape[:2]
    along, across = _turned(picture, centre, rng.uniform(0, np.pi))
    radii = rng.uniform(15, 60, 2) * scale
    outside = np.hypot(along / radii[0], across / radii[1]) - 1
    cover = expit(-outside / rng.uniform(0.05, 0.3)).astype(np.float32)[..., None]
    tint = rng.normal(1, 0.15, 3).astype(np.float32) if rng.random() < 0.5 else np.float32(1)
    return picture * (1 + np.float32(rng.choice([-1, 1]) * rng.uniform(0.05, 0.35)) * tint * cover)


def other_finish(picture: Picture, _donor: Picture, rng: Generator) -> Picture:
    """A nearly upright oval or box with flattened or emphasised grain, mostly in other light."""
    scale = _scale(picture)
    centre = rng.uniform(0, 1, 2) * picture.shape[:2]
    along, across = _turned(picture, centre, rng.choice([0, np.pi / 2]) + rng.normal(0, 0.3))
    radii, power = rng.uniform(6, 45, 2) * scale, rng.choice([2, 2, 8])
    outside = ((np.abs(along) / radii[0]) ** power + (np.abs(across) / radii[1]) ** power) ** (1 / power) - 1
    cover = expit(-outside / rng.uniform(0.01, 0.15)).astype(np.float32)[..., None]
    level = gaussian_filter(picture, rng.uniform(1, 5) * scale, axes=(0, 1))
    contrast = rng.uniform(0, 0.6) if rng.random() < 0.5 else rng.uniform(1.6, 4)
    light = 1 + rng.uniform(-0.35, 0.25) * (rng.random() < 0.7)
    finish = level * np.float32(light) + (picture - level) * np.float32(contrast)
    return picture * (1 - cover) + finish * cover


def wandering_line(picture: Picture, _donor: Picture, rng: Generator) -> Picture:
    """A thin line that turns at random, darker than its surroundings, or less often lighter."""
    scale = _scale(picture)
    height, width = picture.shape[:2]
    steps = int(rng.uniform(8, 60) * scale) + 2
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.uniform(0.02, 0.35), steps))
    path = np.cumsum([np.sin(heading), np.cos(heading)], axis=1)
    middle = rng.uniform(0, 1, (2, 1)) * [[height], [width]]
    rows, columns = np.round(middle + path - path.mean(axis=1, keepdims=True)).astype(int)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    line = np.zeros((height, width), np.float32)
    line[rows[inside], columns[inside]] = 1
    line = gaussian_filter(line, rng.uniform(0.3, 0.8) * scale)
    cover = (line / (line.max() + 1e-9))[..., None]
    return picture * (1 - cover * np.float32(rng.choice([1, 1, -1]) * rng.uniform(0.1, 0.7)))


DEFECTS: tuple[Defect, ...] = (
    foreign_texture,
    pasted_piece,
    changed_light,
    bar,
    stain,
    other_finish,
    wandering_line,
)


def with_synthetic_defect(
    image: NDArray[np.uint8],
    donor: NDArray[np.uint8],
    rng: Generator,
    counted: tuple[Mask | None, Mask | None] = (None, None),
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one or two defects into an image uint8 (H, W, 3), with a donor of its size: (image, mask bool (H, W)).

    The mask marks visibly changed pixels, at least FEWEST_PIXELS unless ATTEMPTS draws all failed, as on an image of
    one colour. counted: the pixels that count of image and donor, bool (H, W), None for all. Others never change, and
    nothing of them is drawn.
    """
    original, other = (_in_floats(*pair) for pair in zip((image, donor), counted, strict=True))
    for _ in range(ATTEMPTS):
        defective: Picture = original
        for _ in range(1 + (rng.random() < SECOND_DEFECT)):
            defective = DEFECTS[rng.integers(len(DEFECTS))](defective, other, rng)
        defective = np.clip(defective, 0, 1)
        if counted[0] is not None:
            defective = np.where(counted[0][..., None], defective, original)
        mask = np.abs(defective - original).max(axis=-1) > VISIBLE
        if np.count_nonzero(mask) >= FEWEST_PIXELS:
            break
    drawn = np.round(255 * defective).astype(np.uint8)
    return drawn if counted[0] is None else np.where(counted[0][..., None], drawn, image), mask


def _in_floats(image: NDArray[np.uint8], counted: Mask | None) -> Picture:
    """The image in [0, 1], its ignored pixels in the mean colour of the others."""
    picture = np.divide(image, 255, dtype=np.float32)
    if counted is not None and counted.any():
        picture[~counted] = picture[counted].mean(axis=0)
    return picture


class SyntheticDefectImages:
    """`copies` of each image with synthetic defects, at one size: number i * copies + j is the j-th of image i.

    Drawn when indexed, each from its own random numbers derived from `seed`, so always the same. groups: the group of
    each image; a donor is then of the image's own group, so no copy shows anything of another group. None: one group.
    """

    def __init__(
        self,
        images: Images,
        copies: int,
        height: int,
        width: int,
        seed: int,
        groups: NDArray[np.int64] | None = None,
    ) -> None:
        self._images = images
        self._groups = np.zeros(len(images), np.int64) if groups is None else groups
        self._copies = copies
        self._size = height, width
        self._seed = seed

    def __len__(self) -> int:
        return len(self._images) * self._copies

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is out of range: there are {len(self)} images with synthetic defects")
        rng = np.random.default_rng((self._seed, index))
        own = index // self._copies
        donors = np.flatnonzero(self._groups == self._groups[own])
        both = own, int(donors[rng.integers(len(donors))])
        image, donor = (resize(np.asarray(self._images[i]), *self._size) for i in both)
        counted = counted_of(self._images, both[0]), counted_of(self._images, both[1])
        return with_synthetic_defect(image, donor, rng, counted)[0]

    def counted(self, index: int) -> Mask | None:
        """See `rd_core.pictures.images.PartlyIgnored.counted`."""
        return counted_of(self._images, index // self._copies)


def _scale(picture: Picture) -> float:
    return min(picture.shape[:2]) / REFERENCE_SIDE


def _turned(
    picture: Picture, centre: NDArray[np.float64], angle: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each pixel's distance from `centre` along a line at `angle` (radians) and across it, (H, W) pixels."""
    rows, columns = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]].astype(np.float32)
    down, right = rows - centre[0], columns - centre[1]
    return down * np.cos(angle) + right * np.sin(angle), right * np.cos(angle) - down * np.sin(angle)


def _cloud(rng: Generator, picture: Picture, cell: float, above: float) -> NDArray[np.float32]:
    """Smooth noise of unit variance and grain `cell` (pixels), its excess over `above`: (H, W), not negative."""
    height, width = picture.shape[:2]
    coarse = rng.normal(size=[max(2, round(side / max(cell, 1))) for side in (height, width)]).astype(np.float32)
    noise = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return np.maximum(noise / (noise.std() + 1e-6) - above, 0)


def _window(rng: Generator, picture: Picture, sides: NDArray[np.float64]) -> NDArray[np.float32]:
    """(H, W): 1 inside a box of these sides (pixels) at a random place, 0 outside, with soft edges."""
    height, width = picture.shape[:2]
    row, column = rng.uniform(0, height), rng.uniform(0, width)
    box = np.zeros((height, width), np.float32)
    top, left = int(max(0, row - sides[0] / 2)), int(max(0, column - sides[1] / 2))
    box[top : int(row + sides[0] / 2) + 1, left : int(column + sides[1] / 2) + 1] = 1
    return gaussian_filter(box, 1)
