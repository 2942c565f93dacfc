"""The upper tail of held-out normal scores, beyond what their number alone can prove.

Excesses over a high score follow about a generalised Pareto law (Pickands, Annals of Statistics 1975). A dozen of
them say little about its shape, and a free fit follows their noise. So the shape has a prior, and a threshold is read
off the posterior of the quantile, whose width is the threshold's uncertainty (Coles and Powell, International
Statistical Review 1996).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rd_core.calibration.spread import SMALLEST

SHARE = 0.2
"""of the scores, that make the tail; but at least FEWEST of them and at most MOST, and never more than half of them,
since the lower half of a law says little about its upper end"""
FEWEST, MOST = 20, 100
PRIOR_SHAPE, PRIOR_DEVIATION = 0.0, 0.2
"""of the shape's normal prior. 0 is an exponential tail, that of a maximum over many pixels (Gumbel). Within two
deviations lie a t law with 3 degrees of freedom (0.33) and a beta law whose density ends in a parabola (-0.33)."""
WRONG = 0.02
"""share of the tail that may be wrong labels, whose excesses follow an exponential law with FARTHER times the mean of
all: a score far above the others then says little about the tail of the normal ones"""
FARTHER = 5.0
_SHAPES = np.linspace(-0.6, 0.6, 25)
# Of the scale over the mean excess: wide enough for a tail of a single score.
_LOG_SCALES = np.linspace(-2.5, 5.0, 76)
_SHARES = 15
# Beside the likeliest shape and scale.
_NEGLIGIBLE = 1e-6

_Floats = NDArray[np.float64]


def tail_size(n: int) -> int:
    """How many of n scores, n > 1, make the tail."""
    return min(max(FEWEST, min(MOST, round(SHARE * n))), n // 2)


def quantiles(ordered: _Floats, alpha: float, levels: Sequence[float]) -> _Floats:
    """Quantiles at `levels` (l,) of the posterior of the law's (1 - alpha) quantile, from sorted scores (n,), n > 1.

    The scores lie in [-1, 1]. The scale has Jeffreys' prior. The share of the law above the tail's start, the
    (k + 1)-th largest of n, follows beta(k + 1, n - k), whatever the law.
    """
    from scipy.special import betaincinv  # noqa: PLC0415  # a second, which whoever scores by a threshold is spared

    n = len(ordered)
    count = tail_size(n)
    start = ordered[n - count - 1]
    excess = ordered[n - count :] - start
    unit = max(float(excess.mean()), SMALLEST)
    weights = _posterior(excess / unit)
    above = betaincinv(count + 1, n - count, (np.arange(_SHARES) + 0.5) / _SHARES)
    growth = np.log(np.maximum(above / alpha, 1.0))
    steps = growth * _relative_growth(_SHAPES[:, None] * growth)  # (shapes, shares), in scales beyond the start
    shape, scale = np.nonzero(weights > _NEGLIGIBLE)
    values = (np.exp(_LOG_SCALES[scale])[:, None] * steps[shape]).ravel()
    order = np.argsort(values)
    reached = np.cumsum(np.repeat(weights[shape, scale], _SHARES)[order])
    places = np.searchsorted(reached, np.asarray(levels) * reached[-1])
    return np.asarray(start + unit * values[order[places]])


def _posterior(excess: _Floats) -> _Floats:
    """Weights (shapes, scales), 1 at most, of excesses (k,) with mean 1, or all 0."""
    ratio = excess * np.exp(-_LOG_SCALES)[:, None]  # (scales, k)
    wrong = math.log(WRONG / FARTHER) - excess / FARTHER
    likelihood = np.empty((len(_SHAPES), len(_LOG_SCALES)))
    for row, shape in enumerate(_SHAPES):
        if abs(shape) < 1e-9:
            density = -ratio
        else:
            inside = 1 + shape * ratio
            density = np.where(inside > 0, -(1 / shape + 1) * np.log(np.where(inside > 0, inside, 1.0)), -np.inf)
        normal = math.log(1 - WRONG) + density - _LOG_SCALES[:, None]
        likelihood[row] = np.logaddexp(normal, wrong).sum(axis=1)
    prior = -0.5 * ((_SHAPES[:, None] - PRIOR_SHAPE) / PRIOR_DEVIATION) ** 2
    return np.exp(prior + likelihood - (prior + likelihood).max())


def _relative_growth(x: _Floats) -> _Floats:
    """(e^x - 1) / x, and 1 at 0."""
    small = np.abs(x) < 1e-9
    return np.where(small, 1.0, np.expm1(x) / np.where(small, 1.0, x))
