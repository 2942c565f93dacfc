"""Confidence intervals of image metrics when several images show one part.

Whole parts are drawn with replacement (a cluster bootstrap; Field and Welsh, JRSS B 2007), because images of one part
resemble each other. The interval goes from percentile to percentile.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rd_core.errors import ConfigError
from rd_core.metrics.image_metrics import check_images
from rd_core.metrics.intervals import TAIL, Interval
from rd_core.metrics.ranking import Ranking

RankingMetric = Callable[[Ranking], NDArray[np.float64]]
"""a metric of rankings with counts [..., k], as auroc and average_precision of ranking.py"""

_CELLS = 500_000
"""resamples times images at a time: some MB, which fit the processor's cache"""


def part_bootstrap(
    metric: RankingMetric,
    scores: ArrayLike,
    is_anomalous: ArrayLike,
    parts: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Compute a metric of scores float [n] and labels bool [n] and its interval over resampled parts [n].

    Deterministic by seed. Resamples in which the metric is undefined are left out; with a handful of parts of either
    label the interval is too narrow. Raises ValueError as image_auroc does and for fewer than two parts, ConfigError
    for no resamples.
    """
    values, labels = check_images(scores, is_anomalous)
    if resamples < 1:
        raise ConfigError(f"{resamples} resamples give no interval. Draw some 1000.")
    number, count = parts_as_numbers(parts, len(values))
    ranked = RankedImages(values, labels, number)
    value = float(metric(ranked.weighted(np.ones((1, count), dtype=np.int64)))[0])
    draws = np.concatenate(
        [metric(ranked.weighted(times)) for times in part_draws(count, len(values), resamples, seed)]
    )
    return Interval(value, *bounds(draws, TAIL))


def bounds(draws: NDArray[np.float64], tail: float) -> tuple[float, float]:
    """Quantiles at `tail` and 1 - `tail` of resampled figures [r], without NaNs; NaN if all are NaN."""
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def parts_as_numbers(parts: Sequence[str], images: int) -> tuple[NDArray[np.intp], int]:
    """Number the parts [n] of n images: (number from 0 [n], parts).

    Raises ValueError for lengths that differ and for fewer than two parts.
    """
    if len(parts) != images:
        raise ValueError(f"{len(parts)} parts do not match {images} images. Name the part of each image.")
    names, number = np.unique(np.asarray(parts, dtype=object), return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"the images show {len(names)} part: nothing varies between parts, and the interval would be a point. "
            "Evaluate images of several parts."
        )
    return number, len(names)


def part_draws(parts: int, images: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each part is drawn, int64 [r, parts], a block of resamples at a time."""
    random = np.random.default_rng(seed)
    block = max(1, _CELLS // images)
    for begin in range(0, resamples, block):
        rows = min(block, resamples - begin)
        drawn = random.integers(parts, size=(rows, parts)) + np.arange(rows)[:, None] * parts
        yield np.bincount(drawn.ravel(), minlength=rows * parts).reshape(rows, parts)


class RankedImages:
    """Images sorted by score once for all resamples."""

    def __init__(self, scores: NDArray[np.float64], labels: NDArray[np.bool_], part: NDArray[np.intp]) -> None:
        """Scores [n] in any order, labels [n], and the part number of each image [n]."""
        order = np.argsort(scores, kind="stable")
        self._values, self._first = np.unique(scores[order], return_index=True)
        self._labels, self._part = labels[order], part[order]

    def weighted(self, times: NDArray[np.int64]) -> Ranking:
        """Counts [r, k] of r resamples in which each part is drawn `times` [r, parts]."""
        weights = times[:, self._part]
        anomalous = np.add.reduceat(weights * self._labels, self._first, axis=1)
        return Ranking(self._values, np.add.reduceat(weights, self._first, axis=1) - anomalous, anomalous)
