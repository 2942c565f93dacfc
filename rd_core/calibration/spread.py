"""How far values spread, as the unit of differences: above 0, and without overflow for all finite values.

A spread that is nothing beside the values themselves is rounding, and what is divided by it says nothing. So it
counts as none, by one rule for all that divide by one.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAIN = float(np.finfo(np.float32).eps)
"""of scores and image statistics, which are float32: a spread within this share of the values is rounding"""
SMALLEST = float(np.finfo(np.float64).tiny)
"""what is smaller has no digits left to be a spread"""
_LARGEST = float(np.finfo(np.float64).max)
_FEWEST_OF_ALL = 2.0**-50
"""a unit's share of the largest value at least: nothing is more than 2^51 units away"""

_Floats = NDArray[np.float64]


def spread(values: _Floats) -> float:
    """Finite values (n,), n > 0 -> a standard deviation that a few outliers leave alone; above 0 even for equal ones.

    1.4826 times the median absolute deviation, as for a normal law; where that is none the plain standard deviation,
    and where that is none either a millionth of the values, so that any change of a constant shows.
    """
    (near,), exponent = scaled(values)
    middle = float(np.median(near))
    for found in (1.4826 * float(np.median(np.abs(near - middle))), float(np.std(near))):
        if not is_none(found, near):
            return unscaled(found, exponent)
    return 1e-6 * max(abs(unscaled(middle, exponent)), 1.0)


def is_none(found: float, values: _Floats) -> bool:
    """Whether a spread `found` among values (n,) is no more than rounding leaves between equal ones."""
    return found <= max(GRAIN * float(np.median(np.abs(values))), SMALLEST)


def at_least(unit: float, *samples: _Floats) -> float:
    """`unit`, or where it is smaller the share of the largest value of all samples below which ratios overflow."""
    return max(unit, _FEWEST_OF_ALL * _largest(samples))


def scaled(*samples: NDArray[np.floating[Any]]) -> tuple[list[_Floats], int]:
    """Arrays of any shapes -> the same by one power of two smaller, and its exponent.

    Their finite values then lie in [-1, 1], where neither sums nor differences overflow; what lies there already
    stays as it is. As powers of two cost no digits, whatever has no unit comes out the same.
    """
    exponent = max(math.frexp(_largest(samples))[1], 0)
    return [np.ldexp(np.asarray(sample, np.float64), -exponent) for sample in samples], exponent


def unscaled(value: float, exponent: int) -> float:
    """A figure of scaled values as one of the values themselves, cut at what float64 can hold."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(_LARGEST, value)


def _largest(samples: tuple[NDArray[np.floating[Any]], ...]) -> float:
    return max(float(np.abs(s).max(initial=0.0, where=np.isfinite(s))) for s in samples)
