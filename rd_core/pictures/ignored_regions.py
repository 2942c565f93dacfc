"""The regions of an image that do not count."""

import base64
import binascii
import io
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rd_core.errors import ConfigError
from rd_core.settings import Record

Point = tuple[float, float]
"""x and y, as shares of the width and the height"""


class DrawnRegion(Protocol):
    """What somebody drew; `storage.ignored_regions.IgnoredRegion` is one."""

    @property
    def polygons(self) -> tuple[tuple[Point, ...], ...]: ...
    @property
    def mask(self) -> str | None: ...


@dataclass(frozen=True)
class Ignore(Record):
    """The regions of an image that do not count, in shares of the whole image, so that they fit images of every
    size."""

    polygons: tuple[tuple[Point, ...], ...] = ()
    """each of 3 points or more; a pixel that an outline touches is inside"""
    mask: str | None = None
    """PNG of 1 bit in base64, white where pixels are ignored; it is stretched over the image"""

    def __post_init__(self) -> None:
        if not self.polygons and self.mask is None:
            raise ConfigError("the ignored regions are empty, so nothing is ignored. Give polygons or a mask.")
        for number, polygon in enumerate(self.polygons, start=1):
            if len(polygon) < 3 or not all(0 <= share <= 1 for point in polygon for share in point):
                raise ConfigError(
                    f"ignored polygon {number} has the points {list(map(list, polygon))}: it is no region of an "
                    "image. Give 3 points [x, y] or more, in shares of the image's width and height from 0 to 1."
                )
        if self.mask is not None:
            _mask_of(self.mask)

    @classmethod
    def of(cls, region: DrawnRegion | None) -> Self | None:
        """The pixels that a drawn region ignores; None without one. Raises ConfigError for an empty one."""
        return None if region is None else cls(region.polygons, region.mask)

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_]) -> Self:
        """bool (h, w), True where pixels are ignored."""
        out = io.BytesIO()
        Image.fromarray(mask).save(out, "PNG", optimize=True)
        return cls(mask=base64.b64encode(out.getvalue()).decode("ascii"))

    @property
    def regions(self) -> "list[Ignore]":
        """Each polygon, and the mask, by itself."""
        masks = [] if self.mask is None else [Ignore(mask=self.mask)]
        return [Ignore((polygon,)) for polygon in self.polygons] + masks

    def on(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """bool `size`: True for the ignored pixels of an image of `size`."""
        height, width = size
        canvas = Image.new("1", (width, height))
        if self.mask is not None:
            canvas.paste(_mask_of(self.mask).resize((width, height), Image.Resampling.NEAREST))
        pen = ImageDraw.Draw(canvas)
        for polygon in self.polygons:
            pen.polygon([(min(int(x * width), width - 1), min(int(y * height), height - 1)) for x, y in polygon], 1)
        return np.asarray(canvas)


def _mask_of(encoded: str) -> Image.Image:
    """Raises ConfigError."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)), formats=["PNG"]) as image:
            return image.convert("1", dither=Image.Dither.NONE)
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
        raise ConfigError(
            f"the mask of ignored regions is no PNG in base64 ({e}), so nothing could be ignored."
        ) from e
