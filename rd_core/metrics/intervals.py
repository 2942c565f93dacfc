"""Measured values with confidence intervals."""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from rd_core.errors import ConfigError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A value and its two-sided interval."""

    value: float
    """as measured; NaN where undefined"""
    low: float
    """lower end"""
    high: float
    """upper end"""


def clopper_pearson(successes: int, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Exact confidence interval of a proportion (Clopper and Pearson, Biometrika 1934).

    Without trials: NaN, in [0, 1]. Raises ValueError unless 0 <= successes <= trials, ConfigError for a confidence
    outside (0, 1).
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials are not a share. Count both over the same cases.")
    tail = (1 - check_confidence(confidence)) / 2
    failures = trials - successes
    low = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - tail)) if failures else 1.0
    return Interval(successes / trials if trials else np.nan, low, high)


def check_confidence(confidence: float) -> float:
    """Return the confidence. Raises ConfigError when it is outside (0, 1)."""
    if not 0 < confidence < 1:
        raise ConfigError(f"a confidence of {confidence} gives no interval. Give a share between 0 and 1, as 0.95.")
    return confidence
