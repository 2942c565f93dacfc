"""Measured values with confidence intervals."""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
"""beyond either end of an interval"""


@dataclass(frozen=True)
class Interval:
    """A value and its two-sided interval."""

    value: float
    """as measured; NaN where undefined"""
    low: float
    """lower end"""
    high: float
    """upper end"""


def clopper_pearson(successes: int, trials: int) -> Interval:
    """Exact confidence interval of a proportion (Clopper and Pearson, Biometrika 1934).

    Without trials: NaN, in [0, 1]. Raises ValueError unless 0 <= successes <= trials.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials are not a share. Count both over the same cases.")
    failures = trials - successes
    low = float(betaincinv(successes, failures + 1, TAIL)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - TAIL)) if failures else 1.0
    return Interval(successes / trials if trials else np.nan, low, high)
