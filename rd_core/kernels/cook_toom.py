"""Minimal filters after Cook, Toom and Winograd: m values of an r-tap filter by m + r - 1 multiplications, not m r.

Polynomials of degree m + r - 2 are known by their values at m + r - 1 points, of which one may be infinity. So
coefficients are multiplied by taking values, multiplying these, and going back; a filter is the transpose of that
(Winograd, Arithmetic Complexity of Computations, 1980; Lavin and Gray, CVPR 2016, for convolutional networks).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class MinimalFilter(NamedTuple):
    """Three matrices: `outputs @ ((inputs @ x) * (taps @ k))` is y with y_i = sum over j of x_(i+j) k_j."""

    inputs: NDArray[np.float64]
    """(m + r - 1, m + r - 1)"""
    taps: NDArray[np.float64]
    """(m + r - 1, r)"""
    outputs: NDArray[np.float64]
    """(m, m + r - 1)"""


def minimal_filter(outputs: int, taps: int, points: tuple[float, ...]) -> MinimalFilter:
    """The minimal filter by values at `points`, outputs + taps - 2 different numbers, and at infinity.

    Exact for any points; which they are decides how much rounding there is. Each row of `inputs` has length 1, the
    taps take what that leaves over: so no product is much larger than the others, and rounded for all of them.
    """
    count = outputs + taps - 1
    inputs = np.linalg.inv(_values(count, points)).T
    lengths = np.linalg.norm(inputs, axis=1, keepdims=True)
    return MinimalFilter(inputs / lengths, _values(taps, points) * lengths, _values(outputs, points).T)


def _values(coefficients: int, points: tuple[float, ...]) -> NDArray[np.float64]:
    """(points and infinity, coefficients): what takes a polynomial's coefficients to its values."""
    at_infinity = np.eye(coefficients)[-1:]
    return np.vstack([np.vander(points, coefficients, increasing=True), at_infinity])
