"""Image views: from an image to a network's pixels, and from an anomaly map back to the image.

The one place that knows where a pixel of a map lies in the image. A view aligns, crops, fills ignored regions, and
resizes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rd_core.errors import ConfigError, ViewImpossible
from rd_core.pictures.alignment import Alignment, Offset
from rd_core.pictures.crop import Crop
from rd_core.pictures.ignored_regions import Ignore
from rd_core.settings import Record

Size = tuple[int, int]
"""height and width, in pixels"""
_KEPT = 4
"""rasterised masks kept in memory, each of an image's size; the images of a category mostly have one size"""


class Region(Protocol):
    """A box in pixels of a map, with its largest value; `rd_core.maps.defect_regions.DefectRegion` is one."""

    @property
    def top(self) -> int: ...
    @property
    def left(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def peak(self) -> float: ...


@dataclass(frozen=True)
class ImageView(Record):
    """What a model sees of an image: alignment, then crop, then ignored regions, then size, then tiles.

    `offset` arguments are what the method `offset` found for that image; without alignment they are None."""

    height: int
    """pixels of the cropped image after resizing: the network's input, or what tiles cover"""
    width: int
    crop: Crop | None = None
    """None: the whole image"""
    ignore: Ignore | None = None
    """None: every pixel counts"""
    tile: int | None = None
    """pixels a side of the square tiles that a network sees one by one; None: it sees the whole view"""
    overlap: int = 0
    """pixels that neighbouring tiles share at least"""
    align: Alignment | None = None
    """None: the part lies where it lies"""

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise ConfigError(f"a view of {self.height} x {self.width} pixels shows nothing. Give 1 or more.")
        if self.tile is not None and not 1 <= self.tile <= min(self.height, self.width):
            raise ConfigError(
                f"tile = {self.tile} does not fit into the view of {self.height} x {self.width} pixels. Give at most "
                f"{min(self.height, self.width)}, or a larger image_size."
            )
        if not 0 <= self.overlap < (self.tile or 1):
            raise ConfigError(
                f"overlap = {self.overlap} is not from 0 to {(self.tile or 1) - 1}, below the tile's side"
                f"{'' if self.tile else ', and there are no tiles'}: tiles would never cover the image."
            )

    @property
    def size(self) -> Size:
        return self.height, self.width

    @property
    def counts_all(self) -> bool:
        """Whether every pixel of every image counts."""
        return self.ignore is None and self.align is None

    def covered(self, size: Size) -> tuple[int, int, int, int]:
        """(top, left, height, width) of the pixels of an image of `size` that a map covers. Raises ViewImpossible."""
        return (0, 0, *size) if self.crop is None else self.crop.box(size)

    def offset(self, image: NDArray[np.uint8]) -> Offset | None:
        """Where the part of an image uint8 (H, W, 3) lies; None without alignment. Raises ViewImpossible for an image
        that does not look like the part, AlignmentUnavailable."""
        return None if self.align is None else self.align.offset(image)

    def pixels(self, image: NDArray[np.uint8], offset: Offset | None = None) -> NDArray[np.uint8]:
        """The pixels that a model sees: uint8 (height, width, 3), from uint8 (H, W, 3), RGB in [0, 255].

        Ignored pixels are filled before resizing, with the mean colour of the counted pixels within the crop, so what
        they show changes nothing. Where an aligned image ends, it is mirrored. offset: None: it is found. Raises
        ViewImpossible for an image that the view does not fit, ValueError for other arrays.
        """
        from rd_core.pictures.preprocessing import resize  # noqa: PLC0415  # brings torch, which plans, cards and pages do without

        size = image.shape[0], image.shape[1]
        top, left, height, width = box = self.covered(size)
        if self.align is not None:
            image = (offset or self.align.offset(image)).aligned(image)
        seen, ignored = image[top : top + height, left : left + width], self._ignored(size)
        if box != (0, 0, *size) or ignored is not None:
            # A part would keep the whole image in memory, and torch sums strided pixels in another order.
            seen = seen.copy()
        if ignored is not None:
            _fill(seen, ignored)
        return resize(seen, *self.size)

    def counted(self, size: Size, grid: Size | None = None, offset: Offset | None = None) -> NDArray[np.bool_] | None:
        """The pixels of the view that count, for an image of `size`: bool `grid`, read-only; None if all do.

        grid: height and width of the result, as of a map; None: the view's own. A pixel counts if at least half of
        its area does. What lies beyond the border of an aligned image does not. Raises ViewImpossible if none does.
        """
        counted = self._within(size, offset)
        of_regions = None if self.ignore is None else _counted(self.ignore, self.covered(size), size, self.size)
        if of_regions is not None:
            counted = of_regions if counted is None else counted & of_regions
        if counted is None:
            return None
        if not counted.any():
            raise ViewImpossible(
                "the ignored regions leave no pixel to inspect, so the image has no score. Draw smaller regions and "
                "train again"
            )
        return counted if grid in (None, self.size) else _shrunk(counted, grid)

    def boxes(
        self, regions: Iterable[Region], size: Size, map_size: Size, offset: Offset | None = None
    ) -> list[dict[str, Any]]:
        """Boxes (top, left, height, width, peak) in pixels of an image of `size`, rounded outwards, of regions of its
        map of `map_size`. Raises ViewImpossible."""
        top, left, height, width = self.covered(size)
        found = []
        for region in regions:
            first_row, rows = _stretched(region.top, region.height, map_size[0], height)
            first_column, columns = _stretched(region.left, region.width, map_size[1], width)
            box = top + first_row, left + first_column, rows, columns
            if offset is not None:
                box = offset.original_box(box, size)
            found.append(dict(zip(("top", "left", "height", "width"), box, strict=True)) | {"peak": region.peak})
        return found

    def mask_on_map(
        self,
        mask: NDArray[np.bool_] | NDArray[np.integer],
        map_size: Size,
        size: Size | None = None,
        offset: Offset | None = None,
    ) -> NDArray[np.bool_]:
        """A labelled mask (h, w), not 0 at defects, on the grid of a map of `map_size`: bool `map_size`.

        size: of the image, if the mask was drawn at another. Parts outside the crop are left out; no defect within it
        vanishes (`rd_core.pictures.masks.mask_on_grid`). Raises ViewImpossible, and ValueError for other arrays.
        """
        from rd_core.pictures.masks import mask_on_grid  # noqa: PLC0415  # brings SciPy, which masks alone need

        given = np.asarray(mask)
        if given.ndim == 2 and given.size:
            own = given.shape[0], given.shape[1]
            of = size or own
            if offset is not None:
                given = offset.scaled(of, own).aligned_mask(given != 0)
            if self.crop is not None:
                top, left, height, width = self.covered(of)
                row, rows = _stretched(top, height, of[0], own[0])
                column, columns = _stretched(left, width, of[1], own[1])
                given = given[row : row + rows, column : column + columns]
        return mask_on_grid(given, *map_size)

    def over_image(
        self, values: NDArray[np.floating], size: Size, offset: Offset | None = None
    ) -> tuple[NDArray[np.floating], tuple[int, int, int, int]]:
        """A map (h, w) and the (top, left, height, width) of an image of `size` that it lies over: `covered`; or an
        aligned image's map, moved back, and all of the original. Raises ViewImpossible."""
        box = self.covered(size)
        if offset is None or not any(offset):
            return values, box
        scale = min(1.0, max(values.shape) / max(box[2:]))
        top, left, height, width = (round(scale * side) for side in box)
        grid = max(1, round(scale * size[0])), max(1, round(scale * size[1]))
        part = Image.fromarray(values.astype(np.float32)).resize((max(1, width), max(1, height)))
        canvas = Image.new("F", grid[::-1])
        canvas.paste(part, (left, top))
        return offset.scaled(size, grid).restored(np.asarray(canvas)), (0, 0, *size)

    def ignored_on(
        self, drawn: Size, size: tuple[int | None, int | None], offset: Offset | None = None
    ) -> NDArray[np.bool_] | None:
        """bool `drawn`: the ignored regions over an image of `size`, drawn at that size; None if there are none."""
        if self.ignore is None:
            return None
        ignored = self.ignore.on(drawn)
        if offset is None or size[0] is None or size[1] is None:
            return ignored
        return offset.scaled((size[0], size[1]), drawn).restored(ignored.astype(np.float32)) >= 0.5

    def too_small(self, ignore: Ignore, size: Size) -> int:
        """How many of these regions lie within the crop of an image of `size`, but have no pixel of the view ignored:
        of each, more than half counts. Raises ViewImpossible."""
        box, found = self.covered(size), 0
        for region in ignore.regions:
            top, left, height, width = box
            ignored = region.on(size)[top : top + height, left : left + width]
            found += bool(ignored.any() and _shrunk(~ignored, self.size).all())
        return found

    def in_words(self) -> str:
        """One line, such as "640 x 256, crop [0, 100, 500, 1000] pixels, 2 ignored regions"."""
        parts = [f"{self.height} x {self.width}"]
        if self.align is not None:
            parts.append("aligned by a shift" if self.align.kind == "shift" else "aligned by shift and rotation")
        if self.crop is not None:
            parts.append(f"crop {self.crop} {self.crop.unit}")
        if self.ignore is not None:
            regions = len(self.ignore.polygons)
            named = [f"{regions} ignored region{'s' * (regions != 1)}"] if regions else []
            parts += named + (["an ignored mask"] if self.ignore.mask is not None else [])
        if self.tile is not None:
            parts.append(f"tiles of {self.tile}, overlap {self.overlap}")
        return ", ".join(parts)

    def _within(self, size: Size, offset: Offset | None) -> NDArray[np.bool_] | None:
        """bool (height, width): pixels of the view that an aligned image of `size` covers; None: all."""
        if offset is None or not any(offset):
            return None
        within = offset.covered(size, self.covered(size), self.size)
        return None if within.all() else within

    def _ignored(self, size: Size) -> NDArray[np.bool_] | None:
        """bool (H, W) of the crop of an image of `size`; None if no pixel of it is ignored."""
        return None if self.ignore is None else _ignored(self.ignore, self.covered(size), size)


@lru_cache(_KEPT)
def _ignored(ignore: Ignore, box: tuple[int, int, int, int], size: Size) -> NDArray[np.bool_] | None:
    top, left, height, width = box
    ignored = ignore.on(size)[top : top + height, left : left + width]
    if not ignored.any():
        return None
    ignored = ignored.copy()
    ignored.flags.writeable = False
    return ignored


@lru_cache(4 * _KEPT)
def _counted(ignore: Ignore, box: tuple[int, int, int, int], size: Size, grid: Size) -> NDArray[np.bool_] | None:
    ignored = _ignored(ignore, box, size)
    if ignored is None:
        return None
    counted = _shrunk(~ignored, grid)
    counted.flags.writeable = False
    return counted


def _fill(image: NDArray[np.uint8], ignored: NDArray[np.bool_]) -> None:
    """Gives the ignored pixels of (H, W, 3) the mean colour of the others, rounded; black if there are none."""
    _paint(image, np.zeros(3, np.uint8), ignored)
    number = max(1, ignored.size - int(np.count_nonzero(ignored)))
    # In whole numbers, which are the same in any order of summation; a column of 16 million pixels fits into 32 bits.
    columns = image.reshape(len(image), -1).sum(axis=0, dtype=np.uint32)
    sums = columns.reshape(-1, 3).sum(axis=0, dtype=np.int64)
    _paint(image, ((2 * sums + number) // (2 * number)).astype(np.uint8), ignored)


def _paint(image: NDArray[np.uint8], colour: NDArray[np.uint8], where: NDArray[np.bool_]) -> None:
    for channel, value in enumerate(colour):  # one by one: a tenth of the time of all three together
        np.copyto(image[..., channel], value, where=where)


def _shrunk(counted: NDArray[np.bool_], grid: Size) -> NDArray[np.bool_]:
    """bool `grid`: True where at least half of the area of a pixel is."""
    area = Image.fromarray(counted.astype(np.uint8) * 255).resize(grid[::-1], Image.Resampling.BOX)
    return np.asarray(area) >= 128


def _stretched(start: int, length: int, cells: int, pixels: int) -> tuple[int, int]:
    """(first pixel, number of pixels) that `length` of `cells` cells, from `start` on, touch."""
    first = start * pixels // cells
    return first, min(-(-(start + length) * pixels // cells), pixels) - first
