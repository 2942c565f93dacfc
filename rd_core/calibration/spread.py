"""Robust scale estimates as the unit of differences: positive, and safe from overflow for all finite values.

A spread that is tiny beside the values is rounding error and counts as none.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAIN = float(np.finfo(np.float32).eps)
"""relative precision of scores and image statistics, which are float32: a spread within it is rounding"""
SMALLEST = float(np.finfo(np.float64).tiny)
"""smallest spread with full precision"""
_LARGEST = float(np.finfo(np.float64).max)
_FEWEST_OF_ALL = 2.0**-50
"""smallest unit as a share of the largest value, so that nothing is more than 2^51 units away"""

_Floats = NDArray[np.float64]


def spread(values: _Floats) -> float:
    """Estimate a standard deviation robustly from finite values (n,), n > 0; positive even for equal values.

    1.4826 times the median absolute deviation; where that is none the standard deviation; where that is none too a
    millionth of the values, so that any change of a constant shows.
    """
    (near,), exponent = scaled(values)
    middle = float(np.median(near))
    for candidate in (1.4826 * float(np.median(np.abs(near - middle))), float(np.std(near))):
        if not is_none(candidate, near):
            return unscaled(candidate, exponent)
    return 1e-6 * max(abs(unscaled(middle, exponent)), 1.0)


def is_none(deviation: float, values: _Floats) -> bool:
    """Whether a spread `deviation` of values (n,) is no more than rounding leaves between equal ones."""
    return deviation <= max(GRAIN * float(np.median(np.abs(values))), SMALLEST)


def at_least(unit: float, *samples: _Floats) -> float:
    """Raise `unit` to the smallest one with which ratios of all samples cannot overflow."""
    return max(unit, _FEWEST_OF_ALL * _largest(samples))


def scaled(*samples: NDArray[np.floating[Any]]) -> tuple[list[_Floats], int]:
    """Divide arrays of any shapes by one power of two, and return its exponent.

    Finite values then lie in [-1, 1], where sums and differences cannot overflow.
    """
    exponent = max(math.frexp(_largest(samples))[1], 0)
    return [np.ldexp(np.asarray(sample, np.float64), -exponent) for sample in samples], exponent


def unscaled(value: float, exponent: int) -> float:
    """Multiply a figure by 2^exponent, clipped to the range of float64."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(_LARGEST, value)


def _largest(samples: tuple[NDArray[np.floating[Any]], ...]) -> float:
    return max(float(np.abs(s).max(initial=0.0, where=np.isfinite(s))) for s in samples)
