"""What an axis of a drawing reaches over, for any finite values: equal, tiny or huge ones too."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

_FURTHEST = 1e300
"""what lies beyond is drawn there: float64 could not hold the length of its axis"""
_SAME = 1e-9
"""share of the values within which nobody sees a difference"""
_SHORTEST = 1e-290


def drawable(values: ArrayLike) -> NDArray[np.float64]:
    """Values of any shape, at the place where they are drawn."""
    return np.clip(np.asarray(values, np.float64), -_FURTHEST, _FURTHEST)


def length(low: float, high: float) -> float:
    """Of an axis from `low` to `high`, both drawable; where they are as good as the same, a tenth of them or of 1."""
    largest = max(abs(low), abs(high))
    if high - low > max(_SAME * largest, _SHORTEST):
        return high - low
    return 0.1 * max(largest, 1.0)


def round_values(low: float, high: float, about: int = 4) -> list[float]:
    """Values of the kind 1, 2 or 5 times a power of ten inside [low, high], roughly `about` of them."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * (first + i) for i in range(math.floor(high / step + 1e-9) - first + 1)]
