"""Robust z-scores of values among those of neighbouring days."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rd_core.calibration.spread import is_none, scaled

FEWEST = 8
"""fewest values to take a median and a spread from, where there are so many"""
_TO_SIGMA = 0.6745
"""median absolute deviation over standard deviation, of normal values"""
_MEAN_TO_SIGMA = 0.7979
"""mean absolute deviation over standard deviation, of normal values"""


def robust_z(values: ArrayLike, days: ArrayLike, *, fewest: int = FEWEST) -> NDArray[np.float64]:
    """Compute 0.6745 (value - median) / MAD among a day's values, float64 (n,), from finite values (n,) and integer
    days (n,).

    Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993); they call values beyond 3.5 outliers. A day with
    fewer than `fewest` values is joined by the nearest whole days. Where more than half of the values are equal, the
    mean absolute deviation replaces the MAD; where all are, z is 0. Raises ValueError for values that are not finite.
    """
    x, when = np.asarray(values, np.float64).ravel(), np.asarray(days, np.int64).ravel()
    if x.shape != when.shape:
        raise ValueError(f"{len(x)} values but {len(when)} days: they cannot be matched. Give a day for each value.")
    if not np.isfinite(x).all():
        raise ValueError(
            f"{np.count_nonzero(~np.isfinite(x))} of {len(x)} values are not finite, so no median is certain. "
            "Leave out images that could not be scored."
        )
    (x,), _ = scaled(x)
    z = np.zeros_like(x)
    for day in np.unique(when):
        own = when == day
        z[own] = _standing_out(x[own], x[_near(when, int(day), fewest)])
    return z


def _near(when: NDArray[np.int64], day: int, fewest: int) -> NDArray[np.bool_]:
    """Which values belong to `day` or, where those are too few, to the days around it."""
    away = np.abs(when - day)
    reach = np.sort(away)[min(fewest, len(away)) - 1]
    return np.asarray(away <= reach)


def _standing_out(own: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.float64]:
    middle = np.median(among)
    away = np.abs(among - middle)
    for deviation in (np.median(away) / _TO_SIGMA, away.mean() / _MEAN_TO_SIGMA):
        if not is_none(float(deviation), among):
            return np.asarray((own - middle) / deviation)
    return np.zeros_like(own)
