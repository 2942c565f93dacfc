"""Thresholds that keep a promised false-alarm rate: conformal prediction on held-out normal scores.

For a normal score S exchangeable with n held-out ones, P(S > k-th smallest) <= 1 - k / (n + 1), which is at most
alpha for k = ceil((n + 1)(1 - alpha)). Below alpha = 1 / (n + 1) there is no such k: the quantile is estimated from
the scores' tail and the threshold marked as extrapolated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rd_core.calibration import tail
from rd_core.calibration.spread import scaled, unscaled
from rd_core.errors import ConfigError, TooFewNormals

ACCEPT, REVIEW, REJECT = DECISIONS = ("accept", "review", "reject")
CONFIDENCE = 0.95
MINIMUM_SCORES = 2
MOST_ABOVE = 2
"""An extrapolated threshold is at least the second largest score, so that 2 / (n + 1) is proven of it. The largest is
no bound: it exceeds the wanted quantile often, and where it is a wrong label it would hide every defect."""
_LEVELS = (0.01, 0.5, 0.97)
"""of the tail's posterior, for lower end, value and upper end. The ends leave less out below than above: few scores
of a light tail look heavier than they are. In simulations of six laws they cover 0.95 and more."""
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
    """method of the interval: "order statistics" (exact, by the binomial law), "order statistics and tail posterior"
    (its upper end lies beyond the largest score) or "tail posterior" (see rd_core.calibration.tail)"""


def calibrate(scores: ArrayLike, alpha: float, *, extrapolate: bool = True) -> Threshold:
    """Compute the threshold for a false-alarm rate of at most `alpha` from scores (n,) of held-out normal images.

    Scores of training images are too low for this. An alpha below 1 / (n + 1) is extrapolated: the threshold is the
    median of the tail's posterior, but at least the second largest score. Raises TooFewNormals below 2 scores, and
    with `extrapolate` false for such an alpha; ConfigError for an alpha outside (0, 1), ValueError for scores that
    are not finite.
    """
    ordered = _ordered(scores)
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha {alpha} is not a false-alarm rate. Give a share between 0 and 1, such as 0.01.")
    n = len(ordered)
    if n < MINIMUM_SCORES:
        raise TooFewNormals(
            f"{n} held-out normal scores are too few for a threshold: any false-alarm rate could follow. "
            f"Hold out at least {MINIMUM_SCORES}, and {normals_needed(alpha)} for alpha {alpha}."
        )
    allowed = _allowed_above(n, alpha)
    if allowed:
        value = float(ordered[n - allowed])
        return Threshold(value, alpha, n, 1 / (n + 1), False, *_interval(ordered, alpha))
    if not extrapolate:
        raise TooFewNormals(
            f"{n} held-out normals prove no false-alarm rate below 1 / {n + 1}, so alpha {alpha:g} would rest on the "
            f"fitted tail of their scores, which extrapolate = false refuses. Hold out {normals_needed(alpha)}, set "
            f"alpha to {_rounded_up(1 / (n + 1))}, or set extrapolate = true."
        )
    low, value, high = _tail(ordered, alpha, _LEVELS)
    value = max(value, float(ordered[n - MOST_ABOVE]))
    return Threshold(value, alpha, n, 1 / (n + 1), True, low, max(high, value), "tail posterior")


def normals_needed(alpha: float) -> int:
    """The least number of held-out normals, each of a part of its own, that prove `alpha`."""
    return math.ceil(1 / alpha - _ROUNDING / alpha) - 1


def proven_rate(parts: Sequence[int], alpha: float, *, cross: bool = False, folds: int | None = None) -> float:
    """The false-alarm rate that held-out normals prove of the threshold for `alpha`, whatever their law.

    parts: number of held-out images of each of K parts, which are exchangeable; images of one part need not be. One
    model, trained on other parts, has scored them, or `cross`-fitted models: of `folds` folds, or with each part left
    out exactly (None).

    K parts prove (1 + s) / (K + 1), where s is the largest sum, over parts, of the share of a part's images that lie
    above the threshold (Lee, Barber and Willett, Distribution-free inference with hierarchical data, 2023). With one
    image a part it is `alpha`, or for an extrapolated threshold 2 / (K + 1).

    Cross-fitted it is twice that, for folds of equal size with a further term: jackknife+ and CV+ (Barber, Candes,
    Ramdas and Tibshirani, Annals of Statistics 2021, theorems 1 and 4; 1 at most). These count a new image by the
    models that did not see the held-out ones; that the model of all images scores it alike is not proven but
    realised.
    """
    count = len(parts)
    rate = max(alpha, (1 + _most_shares(parts, (_allowed_above(sum(parts), alpha) or MOST_ABOVE) - 1)) / (count + 1))
    further = 0.0
    if cross and folds is not None:
        further = min(2 * (1 - 1 / folds) / (count / folds + 1), (1 - folds / count) / (folds + 1))
    return min(1.0, 2 * rate + further if cross else rate)


def _most_shares(parts: Sequence[int], above: int) -> float:
    """The largest sum of shares of parts' images that `above` images make: those of the smallest parts."""
    total = 0.0
    for size in sorted(parts):
        taken = min(size, above)
        total, above = total + taken / size, above - taken
    return total


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


def _allowed_above(n: int, alpha: float) -> int:
    """One more than the number of n held-out scores that may lie above the threshold; 0: they prove no such alpha."""
    return math.floor((n + 1) * alpha + _ROUNDING)


def _interval(ordered: NDArray[np.float64], alpha: float) -> tuple[float, float, str]:
    """Interval of the true quantile. The number of n scores below it is binomial(n, 1 - alpha), which gives the
    ranks."""
    from scipy.stats import binom  # noqa: PLC0415  # half a second, which whoever scores by a threshold is spared

    n = len(ordered)
    outside = (1 - CONFIDENCE) / 2
    lower_rank = int(binom.ppf(outside, n, 1 - alpha))
    upper_rank = int(binom.ppf(1 - outside, n, 1 - alpha)) + 1
    low = float(ordered[max(lower_rank, 1) - 1])
    if upper_rank <= n:
        return low, float(ordered[upper_rank - 1]), "order statistics"
    (high,) = _tail(ordered, alpha, _LEVELS[2:])
    return low, max(high, float(ordered[-1])), "order statistics and tail posterior"


def _tail(ordered: NDArray[np.float64], alpha: float, levels: Sequence[float]) -> list[float]:
    (near,), exponent = scaled(ordered)
    return [unscaled(float(quantile), exponent) for quantile in tail.quantiles(near, alpha, levels)]


def _rounded_up(share: float) -> str:
    """To two digits."""
    unit = 10.0 ** (math.floor(math.log10(share)) - 1)
    return f"{math.ceil(share / unit - _ROUNDING) * unit:.2g}"
