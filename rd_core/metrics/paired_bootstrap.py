"""The difference between two models on the same images, with its bounds.

Both models see the same resamples of whole parts (see part_bootstrap), so what makes an image hard for both cancels
out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rd_core.errors import ConfigError
from rd_core.metrics.image_metrics import check_images, check_scores
from rd_core.metrics.intervals import CONFIDENCE
from rd_core.metrics.part_bootstrap import RankedImages, RankingMetric, bounds, part_draws, parts_as_numbers


@dataclass(frozen=True)
class Difference:
    """A figure of two models."""

    before: float
    """of the champion"""
    after: float
    """of the candidate"""
    low: float
    """one-sided lower bound of after - before at the confidence asked for; NaN where undefined"""
    high: float
    """one-sided upper bound"""

    @property
    def value(self) -> float:
        """after - before"""
        return self.after - self.before


def metric_difference(
    metric: RankingMetric,
    before: ArrayLike,
    after: ArrayLike,
    is_anomalous: ArrayLike,
    parts: Sequence[str],
    *,
    resamples: int = 2000,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Difference:
    """Bound the difference of a ranking metric, from scores float [n] of two models and labels bool [n] of the same
    images.

    Resamples in which the metric is undefined are left out. Raises ValueError and ConfigError as part_bootstrap does.
    """
    labels = check_images(before, is_anomalous)[1]
    number, count = _parts(parts, labels, resamples)
    ranked = [RankedImages(check_scores(scores, labels), labels, number) for scores in (before, after)]
    once = np.ones((1, count), dtype=np.int64)
    was, became = (float(metric(images.weighted(once))[0]) for images in ranked)
    draws = [
        metric(ranked[1].weighted(times)) - metric(ranked[0].weighted(times))
        for times in part_draws(count, len(labels), resamples, seed)
    ]
    return Difference(was, became, *bounds(np.concatenate(draws), 1 - _checked(confidence)))


def mean_difference(
    before: ArrayLike,
    after: ArrayLike,
    parts: Sequence[str],
    *,
    resamples: int = 2000,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Difference:
    """Bound the difference of means of a figure [n] per case, such as detected (1) or not (0).

    A part weighs as much as it has cases. Raises as metric_difference.
    """
    was, became = (check_scores(values, list(parts)) for values in (before, after))
    number, count = _parts(parts, was, resamples)
    gains, cases = np.bincount(number, became - was, count), np.bincount(number, minlength=count)
    draws = [(times @ gains) / (times @ cases) for times in part_draws(count, len(was), resamples, seed)]
    return Difference(
        float(was.mean()), float(became.mean()), *bounds(np.concatenate(draws), 1 - _checked(confidence))
    )


def _parts(parts: Sequence[str], cases: NDArray[np.generic], resamples: int) -> tuple[NDArray[np.intp], int]:
    if resamples < 1:
        raise ConfigError(f"{resamples} resamples give no bounds. Draw some 2000.")
    return parts_as_numbers(parts, len(cases))


def _checked(confidence: float) -> float:
    """Return the confidence. Raises ConfigError when it is outside (0, 1)."""
    if not 0 < confidence < 1:
        raise ConfigError(f"a confidence of {confidence} gives no interval. Give a share between 0 and 1, as 0.95.")
    return confidence
