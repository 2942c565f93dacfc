"""The unit in which a figure's shifts are told."""

import numpy as np
from numpy.typing import NDArray

from rd_core.calibration.spread import spread
from rd_core.pictures.alignment import OFFSET_COLUMNS

_LEAST = dict(zip(OFFSET_COLUMNS, (1.0, 1.0, 0.1), strict=True))
"""pixels, and degrees: a fixture that holds parts exactly has no spread, and a pixel's play is no drift"""


def unit_of(name: str, held: NDArray[np.float64]) -> float:
    """Robust standard deviation of a figure's finite values (n,) in the calibration set, n > 0; of an offset at least
    what alignment tells apart."""
    return max(spread(held), _LEAST.get(name, 0.0))
