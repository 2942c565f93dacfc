"""Effect sizes between the window's scores and the calibration set's, each with its null band.

The band is that of two samples of one distribution: the calibration scores resampled in their own number and in the
window's, also with the window's highest scores, up to the ordinary share of defects. So neither a small calibration
set nor ordinary defects look like drift, and a quantile beyond that share can hardly leave its band upwards.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from rd_core.calibration.spread import at_least, is_none, scaled, spread, unscaled
from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import Baseline, Window

QUANTILES = (0.5, 0.9, 0.95, 0.99)
KOLMOGOROV_SMIRNOV = "kolmogorov_smirnov"
WASSERSTEIN = "wasserstein"
POPULATION_STABILITY = "population_stability"
BAND = 0.95
_BINS = 10
_SMOOTHING = 0.5

_Counts = NDArray[np.int64]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Distance:
    """An effect size with its null band."""

    name: str
    """quantile_0.5 to quantile_0.99, kolmogorov_smirnov, wasserstein or population_stability"""
    value: float
    """quantile shifts and Wasserstein in interquartile ranges of the calibration set, the others without unit"""
    null_low: float
    """2.5 % quantile of the null distribution"""
    null_high: float
    """97.5 % quantile of it"""
    p_value: float
    """under chance and ordinary defects: exact and two-sided for quantile shifts, otherwise by resampling, with the
    observed value counted"""


def distances(window: Window, baseline: Baseline, settings: DriftSettings) -> tuple[Distance, ...]:
    """Compute quantile shifts from the median into the tail, Kolmogorov-Smirnov, Wasserstein and the population
    stability index (10 bins of equal calibration count, half an image added to each), in this order."""
    unit = at_least(_unit(baseline.scores), baseline.scores, window.scores)
    (held, scores), exponent = scaled(baseline.scores, np.sort(window.scores))
    unit = math.ldexp(unit, -exponent)
    names = [*(f"quantile_{q:g}" for q in QUANTILES), KOLMOGOROV_SMIRNOV, WASSERSTEIN, POPULATION_STABILITY]
    support = np.concatenate([held, scores])
    order = np.argsort(support, kind="stable")
    from_held = (order < len(held)).astype(np.int64)[None]
    edges = np.quantile(held, np.arange(1, _BINS) / _BINS)
    observed = _effect_sizes(support[order], from_held, 1 - from_held, edges, unit)[0]
    clean = _null(held, scores, 0, edges, unit, settings)
    defective = _null(held, scores, int(settings.defect_share * len(scores)), edges, unit, settings)
    bands = [np.quantile(null, [(1 - BAND) / 2, (1 + BAND) / 2], axis=0) for null in (clean, defective)]
    low, high = np.minimum(bands[0][0], bands[1][0]), np.maximum(bands[0][1], bands[1][1])
    as_far = np.maximum((clean >= observed).sum(axis=0), (defective >= observed).sum(axis=0))
    p_values = (1 + as_far) / (settings.resamples + 1)
    p_values[: len(QUANTILES)] = [_quantile_p_value(held, scores, q, settings.defect_share) for q in QUANTILES]
    return tuple(
        Distance(name, float(v), float(a), float(b), float(p))
        for name, v, a, b, p in zip(names, observed, low, high, p_values, strict=True)
    )


def _quantile_p_value(held: _Floats, scores: _Floats, level: float, defect_share: float) -> float:
    """Two-sided, exact: of m images BetaBinomial(m, n + 1 - k, k) lie above the k-th smallest of n normal scores.

    The ordinary share of defects is subtracted from the images above before they count as too many.
    """
    n, m = len(held), len(scores)
    rank = math.ceil(level * n - 1e-9)
    law = np.cumsum(betabinom.pmf(np.arange(m + 1), m, n + 1 - rank, rank))
    above = m - int(np.searchsorted(scores, held[rank - 1], side="right"))
    not_below = m - int(np.searchsorted(scores, held[rank - 1], side="left"))
    normal = max(above - int(defect_share * m), 0)
    too_many = 1 - law[normal - 1] if normal else 1.0
    return float(min(1.0, 2 * min(max(too_many, 0.0), law[not_below])))


def _null(
    held: _Floats, scores: _Floats, defects: int, edges: _Floats, unit: float, settings: DriftSettings
) -> _Floats:
    """Effect sizes (resamples, 7) of windows without drift, with the `defects` highest scores of the window."""
    random = np.random.default_rng(settings.seed)
    n, m = len(held), len(scores)
    shares = np.full(n, 1 / n)
    support = np.concatenate([held, scores[m - defects :]])
    order = np.argsort(support, kind="stable")
    calibrations = np.zeros((settings.resamples, n + defects), dtype=np.int64)
    windows = np.ones_like(calibrations)
    calibrations[:, :n] = random.multinomial(n, shares, size=settings.resamples)
    windows[:, :n] = random.multinomial(m - defects, shares, size=settings.resamples)
    return _effect_sizes(support[order], calibrations[:, order], windows[:, order], edges, unit)


def _effect_sizes(support: _Floats, held: _Counts, new: _Counts, edges: _Floats, unit: float) -> _Floats:
    """Effect sizes (r, 7) from ascending values (k,) and their counts (r, k) on both sides."""
    held_below, new_below = np.cumsum(held, axis=1), np.cumsum(new, axis=1)
    gaps = np.abs(held_below / held_below[:, -1:] - new_below / new_below[:, -1:])
    # Between equal values the distribution functions have no value of their own.
    last_of_equals = np.append(support[1:] > support[:-1], True)
    shifts = [(support[_rank(new_below, q)] - support[_rank(held_below, q)]) / unit for q in QUANTILES]
    earth = (gaps[:, :-1] * np.diff(support)).sum(axis=1) / unit
    membership = np.searchsorted(edges, support, side="left")[:, None] == np.arange(_BINS)
    old_share, new_share = (_smoothed(counts @ membership.astype(np.int64)) for counts in (held, new))
    stability = ((new_share - old_share) * np.log(new_share / old_share)).sum(axis=1)
    return np.stack([*shifts, gaps[:, last_of_equals].max(axis=1), earth, stability], axis=1)


def _rank(cumulated: _Counts, level: float) -> NDArray[np.intp]:
    """Index at which the cumulated counts first reach the level: the inverse empirical distribution function."""
    return (cumulated >= level * cumulated[:, -1:] - 1e-9).argmax(axis=1)


def _smoothed(counts: _Counts) -> _Floats:
    padded = counts + _SMOOTHING
    return padded / padded.sum(axis=1, keepdims=True)


def _unit(held: _Floats) -> float:
    (near,), exponent = scaled(held)
    low, high = np.quantile(near, [0.25, 0.75])
    interquartile_range = float(high - low)
    return spread(held) if is_none(interquartile_range, near) else unscaled(interquartile_range, exponent)
