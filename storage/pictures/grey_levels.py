"""Conversion of grey values of more than 8 bits to 8 bits by explicit levels, or refusal."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from storage.errors import UnreadableImage

LEAST_BRIGHT = 1 << 14
"""of 16 bits: a picture below it uses less than a quarter of its range, as 10, 12 and 14-bit cameras with 16-bit
files do"""
_MOST_ABOVE = 0.5
"""largest share of pixels above white"""


@dataclass(frozen=True)
class GreyKind:
    """The type of a file's numbers."""

    sort: Literal["unsigned", "signed", "float"]
    bits: int
    white_is_zero: bool = False
    """the lowest value is the brightest"""

    @property
    def top(self) -> int | None:
        """The highest value of unsigned types up to 16 bits, which is their white."""
        return (1 << self.bits) - 1 if self.sort == "unsigned" and self.bits <= 16 else None


@dataclass(frozen=True)
class GreyLevels:
    """Black and white level. Raises ValueError unless black is below white."""

    black: float | None = None
    """value that becomes 0; None: 0, if no value is below"""
    white: float | None = None
    """value that becomes 255; None: the highest of the file's type"""

    def __post_init__(self) -> None:
        for name, value in (("black_level", self.black), ("white_level", self.white)):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} {value} is no level: every pixel would be the same. Give a number.")
        if self.white is not None and self.white <= (self.black or 0):
            raise ValueError(
                f"white_level {self.white:g} is not above black_level {self.black or 0:g}: every pixel would be "
                "white or black. Give a higher white_level."
            )

    def __str__(self) -> str:
        given = (("white_level", self.white), ("black_level", self.black))
        return " and ".join(f"{name} {value:g}" for name, value in given if value is not None)

    @property
    def are_given(self) -> bool:
        """Whether any level is given."""
        return self.black is not None or self.white is not None


def scaled(values: NDArray[Any], kind: GreyKind, levels: GreyLevels) -> NDArray[np.uint8]:
    """Numbers (H, W) of that kind -> uint8 (H, W): black to 0, white to 255, clipped.

    Raises UnreadableImage if white is unknown, or if the levels evidently belong to another camera.
    """
    _refuse_not_finite(values)
    white = levels.white if levels.white is not None else kind.top
    lowest, highest = values.min(), values.max()
    if white is None:
        raise UnreadableImage(
            f"grey of {kind.bits}-bit {'floating-point' if kind.sort == 'float' else kind.sort} numbers (here "
            f"{lowest:.9g} to {highest:.9g}), and nothing says which of them is white: set white_level (and "
            "black_level where black is not 0) in categories.toml and train again, or save 8 or 16-bit grey"
        )
    if levels.black is None and lowest < 0:
        raise UnreadableImage(
            f"grey values down to {lowest:.9g}, and nothing says which is black: what lies below 0 would be lost. "
            "Set black_level in categories.toml and train again"
        )
    if levels.white is None and kind.bits == 16 and highest < LEAST_BRIGHT:
        raise UnreadableImage(
            f"16-bit grey whose brightest value is {highest} of 65535, so that it would be nearly black. If the "
            "camera has fewer bits, set white_level (4095 of 12 bits) in categories.toml and train again; if it is "
            "that dark, set white_level = 65535"
        )
    black = levels.black or 0.0
    if black >= white or (kind.top is not None and white > kind.top):
        raise UnreadableImage(
            f"{kind.bits}-bit grey, of which black_level {black:g} and white_level {white:g} cannot be black and "
            "white: the levels are another camera's. Correct them in categories.toml and train again"
        )
    above = float(np.mean(values > white))
    if above > _MOST_ABOVE:
        raise UnreadableImage(
            f"{above:.0%} of the grey values (here {lowest:.9g} to {highest:.9g}) lie above white_level {white:g} "
            "and would be plain white: the level is another camera's. Correct it in categories.toml and train again"
        )
    if kind.top is None:
        grey = _linear(values, black, white)
    else:  # a table of all values is faster, and small
        grey = _linear(np.arange(kind.top + 1), black, white)[values]
    return 255 - grey if kind.white_is_zero else grey


def marked(values: NDArray[Any], kind: GreyKind) -> NDArray[np.bool_]:
    """Numbers (H, W) of a mask -> bool (H, W): True if not black."""
    _refuse_not_finite(values)
    if not kind.white_is_zero:
        return np.asarray(values != 0)
    if kind.top is None:
        raise UnreadableImage(
            f"{kind.bits}-bit numbers of which the lowest is white, so that none is known to be black"
        )
    return np.asarray(values != kind.top)


def _linear(values: NDArray[Any], black: float, white: float) -> NDArray[np.uint8]:
    exact = values.astype(np.float64)
    np.clip(exact, black, white, out=exact)
    exact -= black
    exact *= 255 / (white - black)
    return np.rint(exact, out=exact).astype(np.uint8)


def _refuse_not_finite(values: NDArray[Any]) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UnreadableImage("some pixels are not finite numbers (NaN or infinity)")
