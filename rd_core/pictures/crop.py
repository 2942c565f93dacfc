"""The rectangle of an image that is inspected."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from rd_core.errors import ConfigError, ViewImpossible
from rd_core.settings import Record

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Crop(Record):
    """The rectangle of an image that is inspected."""

    top: float
    left: float
    height: float
    width: float
    unit: Literal["pixels", "shares"]
    """of all four: whole pixels, or shares of the image's height and width"""

    def __post_init__(self) -> None:
        if why := _fault((self.top, self.left, self.height, self.width), self.unit):
            raise ConfigError(f"crop = {self}: {why}")

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Self:
        """[top, left, height, width]: pixels if all are int, shares if one is float. Raises ConfigError."""
        top, left, height, width = map(float, numbers)
        return cls(top, left, height, width, _unit(numbers))

    @staticmethod
    def fault(numbers: Sequence[float]) -> str | None:
        """Why these four are no crop, and the cure; None if they are one."""
        return _fault(numbers, _unit(numbers))

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(top, left, height, width) in pixels of an image of `size`; at least one pixel. Raises ViewImpossible."""
        (top, bottom), (left, right) = (
            self._span(start, length, pixels)
            for start, length, pixels in zip((self.top, self.left), (self.height, self.width), size, strict=True)
        )
        if bottom > size[0] or right > size[1]:
            raise ViewImpossible(
                f"the image has {size[0]} x {size[1]} pixels (height x width), and the crop {self} reaches beyond "
                "them, so it has no score. Correct `crop` and train again; as fractions it fits images of every size"
            )
        return top, left, bottom - top, right - left

    def _span(self, start: float, length: float, pixels: int) -> tuple[int, int]:
        if self.unit == "pixels":
            return int(start), int(start + length)
        first = min(round(start * pixels), pixels - 1)
        return first, min(max(round((start + length) * pixels), first + 1), pixels)

    def __str__(self) -> str:
        form = "{:g}" if self.unit == "pixels" else "{:.6}"
        return f"[{', '.join(form.format(number) for number in (self.top, self.left, self.height, self.width))}]"


def _unit(numbers: Sequence[float]) -> Literal["pixels", "shares"]:
    return "pixels" if all(isinstance(number, int) for number in numbers) else "shares"


def _fault(numbers: Sequence[float], unit: Literal["pixels", "shares"]) -> str | None:
    top, left, height, width = numbers
    if not all(math.isfinite(number) for number in numbers) or min(numbers) < 0 or 0 in (height, width):
        return "it holds no pixel of an image. Give [top, left, height, width], from 0, the last two above it."
    if unit == "pixels" and any(number != int(number) for number in numbers):
        return "a part of a pixel cannot be cut. Give whole numbers."
    if unit == "shares" and max(top + height, left + width) > 1 + _ROUNDING:
        return (
            "it reaches beyond the image. Fractions are shares of the image's height and width: top + height and "
            "left + width are at most 1.0. Whole numbers are pixels."
        )
    return None
