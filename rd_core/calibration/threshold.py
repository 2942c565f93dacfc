"""Thresholds that keep a promised false-alarm rate: split conformal prediction on held-out normal scores.

For a normal score S exchangeable with n held-out ones, P(S > k-th smallest) <= 1 - k / (n + 1), which is at most
alpha for k = ceil((n + 1)(1 - alpha)). Below alpha = 1 / (n + 1) there is no such k: a generalised Pareto tail is
fitted and the threshold marked as extrapolated.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rd_core.calibration.spread import SMALLEST, scaled, unscaled
from rd_core.errors import ConfigError, TooFewNormals

ACCEPT, REVIEW, REJECT = DECISIONS = ("accept", "review", "reject")
CONFIDENCE = 0.95
MINIMUM_SCORES = 2
TAIL_SHARE = 0.2
TAIL_MINIMUM = 10
_RESAMPLES = 400
# Heavier or lighter tails than these are artefacts of few exceedances, and ruin the extrapolation.
_SHAPES = (-0.5, 0.5)
# (n + 1) * alpha is a whole number for the alphas people choose; its rounding error must not cost a rank.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Threshold:
    """An image is anomalous when its score is above `value`."""

    value: float
    """of the score"""
    alpha: float
    """the promised share of normal images above `value`"""
    n: int
    """held-out normal scores behind it"""
    smallest_honest_alpha: float
    """1 / (n + 1): smaller alphas cannot be promised without assuming a tail"""
    extrapolated: bool
    """whether alpha is smaller than that, so that `value` rests on a fitted tail"""
    low: float
    """lower end of the 95 % interval for the true (1 - alpha) quantile"""
    high: float
    """upper end of it"""
    interval: str
    """method of the interval: "order statistics" (exact, by the binomial law), "order statistics and tail" (its upper
    end lies beyond the largest score) or "tail" (the fitted tail, resampled)"""


def calibrate(scores: ArrayLike, alpha: float) -> Threshold:
    """Compute the threshold for a false-alarm rate of at most `alpha` from scores (n,) of held-out normal images.

    Scores of training images are too low for this. Raises TooFewNormals below 2 scores, ConfigError for an alpha
    outside (0, 1), ValueError for scores that are not finite.
    """
    ordered = _ordered(scores)
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha {alpha} is not a false-alarm rate. Give a share between 0 and 1, such as 0.01.")
    n = len(ordered)
    if n < MINIMUM_SCORES:
        raise TooFewNormals(
            f"{n} held-out normal scores are too few for a threshold: any false-alarm rate could follow. "
            f"Hold out at least {MINIMUM_SCORES}, and {math.ceil(1 / alpha)} for alpha {alpha}."
        )
    rank = n + 1 - math.floor((n + 1) * alpha + _ROUNDING)
    extrapolated = rank > n
    if extrapolated:
        (near,), exponent = scaled(ordered)
        value = max(unscaled(float(_tail_quantile(near[None], alpha)[0]), exponent), float(ordered[-1]))
    else:
        value = float(ordered[rank - 1])
    low, high, interval = _interval(ordered, alpha, value, extrapolated)
    return Threshold(value, alpha, n, 1 / (n + 1), extrapolated, low, high, interval)


def conformal_p_values(scores: ArrayLike, calibration: ArrayLike) -> NDArray[np.float64]:
    """Compute p = (1 + number of held-out normal scores (n,) >= score) / (n + 1) of scores (m,).

    For a normal image P(p <= a) <= a. NaN for a NaN score.
    """
    held = _ordered(calibration)
    values = np.asarray(scores, dtype=np.float64)
    at_least = len(held) - np.searchsorted(held, values, side="left")
    return np.where(np.isnan(values), np.nan, (1 + at_least) / (len(held) + 1))


def triage(scores: ArrayLike, low: float, high: float) -> NDArray[np.str_]:
    """Decide about finite scores (m,): 'reject' above `high`, 'review' above `low`, 'accept' up to it; words (m,).

    `low` and `high` are a threshold's 95 % interval.
    """
    values = np.asarray(scores, dtype=np.float64)
    return np.select([values > high, values > low], [REJECT, REVIEW], ACCEPT)


def _ordered(scores: ArrayLike) -> NDArray[np.float64]:
    ordered = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    if not np.isfinite(ordered).all():
        raise ValueError(
            f"{np.count_nonzero(~np.isfinite(ordered))} of {len(ordered)} scores are not finite, so no rank "
            "is certain. Leave out images that could not be scored."
        )
    return ordered


def _interval(
    ordered: NDArray[np.float64], alpha: float, value: float, extrapolated: bool
) -> tuple[float, float, str]:
    """Interval of the true quantile. The number of n scores below it is binomial(n, 1 - alpha), which gives the
    ranks."""
    n = len(ordered)
    tail = (1 - CONFIDENCE) / 2
    if extrapolated:
        low, high = _resampled_tail(ordered, alpha, [tail, 1 - tail])
        return min(low, value), max(high, value), "tail"
    from scipy.stats import binom  # noqa: PLC0415  # half a second, which whoever scores by a threshold is spared

    lower_rank = int(binom.ppf(tail, n, 1 - alpha))
    upper_rank = int(binom.ppf(1 - tail, n, 1 - alpha)) + 1
    low = float(ordered[max(lower_rank, 1) - 1])
    if upper_rank <= n:
        return low, float(ordered[upper_rank - 1]), "order statistics"
    (beyond,) = _resampled_tail(ordered, alpha, [1 - tail])
    return low, max(beyond, float(ordered[-1])), "order statistics and tail"


def _resampled_tail(ordered: NDArray[np.float64], alpha: float, levels: list[float]) -> list[float]:
    """Quantiles at `levels` of tail fits to bootstrap samples, deterministic by a fixed seed."""
    (near,), exponent = scaled(ordered)
    draws = np.random.default_rng(0).choice(near, size=(_RESAMPLES, len(near)))
    quantiles = np.quantile(_tail_quantile(np.sort(draws, axis=1), alpha), levels)
    return [unscaled(float(quantile), exponent) for quantile in quantiles]


def _tail_quantile(ordered: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """(1 - alpha) quantiles (r,) of sorted samples (r, n) by a generalised Pareto tail.

    Fitted by L-moments (Hosking and Wallis 1987), which are stable for ten exceedances, unlike maximum likelihood.
    """
    from scipy.stats import genpareto  # noqa: PLC0415  # half a second, which scoring by a threshold need not wait

    n = ordered.shape[1]
    exceedances = min(max(TAIL_MINIMUM, round(TAIL_SHARE * n)), n - 1)
    start = ordered[:, n - exceedances - 1]
    excess = ordered[:, n - exceedances :] - start[:, None]
    mean = excess.mean(axis=1)
    weights = np.arange(exceedances) / max(exceedances - 1, 1)
    half_gap = np.maximum(2 * (excess * weights).mean(axis=1) - mean, np.maximum(1e-12 * mean, SMALLEST))
    shape = np.clip(2 - mean / half_gap, *_SHAPES)
    scale = np.maximum(mean * (1 - shape), SMALLEST)
    beyond = min(1.0, alpha * n / exceedances)
    return start + genpareto.isf(beyond, shape, scale=scale)
