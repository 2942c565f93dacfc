"""Differences of a ranking metric between one method of a comparison and each of the others.

A method's figure is the median over its seeds, because one trained model is put in force, not their mean scores. Each
resample draws parts as in part_bootstrap, the same for all methods, and of each method as many seeds as it has, with
replacement: other parts and other trainings could have come.

P-values are two-sided, from the resamples' percentiles, and corrected for the number of differences by Holm's
procedure (Scandinavian Journal of Statistics 1979). The intervals hold at once, by Bonferroni's.

The reference may be the method that came out best on the same images. With two methods the two-sided test covers
this, and more methods make a false winner rarer, because the two best of many lie closer together (Gutmann and
Maymin, Is the Selected Population the Best?, Annals of Statistics 1987). tests/rd_core/comparison/test_winner.py
simulates it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rd_core.errors import ConfigError
from rd_core.metrics.image_metrics import check_images, check_scores
from rd_core.metrics.intervals import TAIL, Interval
from rd_core.metrics.part_bootstrap import RankedImages, RankingMetric, bounds, part_draws, parts_as_numbers

RESAMPLES = 2000


@dataclass(frozen=True)
class Difference:
    """The reference's figure - another method's."""

    interval: Interval
    """with the interval that holds together with those of all other differences; NaN where undefined"""
    p_value: float
    """Holm-corrected, in (0, 1]: how often chance alone would show such a difference; 1 where undefined"""


@dataclass(frozen=True)
class Differences:
    """Figures of methods, and their differences from one of them."""

    reference: str
    figures: Mapping[str, Interval]
    """each method's median over its seeds, with the interval of this figure alone"""
    seeds: Mapping[str, tuple[float, ...]]
    """each method's figure by seed, in the order given"""
    others: Mapping[str, Difference]
    """the reference's figure - that of each other method"""


@dataclass(frozen=True, eq=False)
class Resamples:
    """Figures of m methods in r resamples of the same parts."""

    by_seed: Mapping[str, tuple[float, ...]]
    """[m], each method's figure by seed"""
    drawn: NDArray[np.float64]
    """[m, r] medians over the seeds drawn, in the order of `by_seed`"""

    @property
    def figures(self) -> dict[str, float]:
        """Each method's median over its seeds."""
        return {method: float(np.median(values)) for method, values in self.by_seed.items()}


def resample(
    metric: RankingMetric,
    scores: Mapping[str, NDArray[np.floating]],
    is_anomalous: ArrayLike,
    parts: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Resamples:
    """Draw parts [n] and seeds, from each method's scores float [s, n], a row a seed, and labels bool [n].

    Deterministic by seed. Resamples in which the metric is undefined are left out. Raises ValueError and ConfigError
    as part_bootstrap does.
    """
    labels = check_images(next(iter(scores.values()))[0], is_anomalous)[1]
    if resamples < 1:
        raise ConfigError(f"{resamples} resamples give no interval. Draw some {RESAMPLES}.")
    number, count = parts_as_numbers(parts, len(labels))
    ranked = {
        method: [RankedImages(check_scores(row, labels), labels, number) for row in rows]
        for method, rows in scores.items()
    }
    once = np.ones((1, count), dtype=np.int64)
    by_seed = {name: tuple(float(metric(one.weighted(once))[0]) for one in rows) for name, rows in ranked.items()}
    random = np.random.default_rng([seed, 1])
    blocks = [
        np.stack([_drawn_median(metric, rows, times, random) for rows in ranked.values()])
        for times in part_draws(count, len(labels), resamples, seed)
    ]
    drawn = np.concatenate(blocks, axis=1)
    return Resamples(by_seed, drawn[:, ~np.isnan(drawn).any(axis=0)])


def differences_from(reference: str, resamples: Resamples) -> Differences:
    """Compare one method with each other."""
    figures, rows = resamples.figures, dict(zip(resamples.by_seed, resamples.drawn, strict=True))
    intervals = {name: Interval(figures[name], *bounds(drawn, TAIL)) for name, drawn in rows.items()}
    others = [name for name in rows if name != reference]
    away = [rows[reference] - rows[name] for name in others]
    corrected = holm([_two_sided(drawn) for drawn in away])
    differences = {
        name: Difference(Interval(figures[reference] - figures[name], *bounds(drawn, TAIL / len(others))), p_value)
        for name, drawn, p_value in zip(others, away, corrected, strict=True)
    }
    return Differences(reference, intervals, dict(resamples.by_seed), differences)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several tests, corrected for their number by Holm's procedure, in the order given."""
    ranked = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, largest = [0.0] * len(ranked), 0.0
    for rank, place in enumerate(ranked):
        largest = max(largest, min(1.0, (len(ranked) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def _two_sided(drawn: NDArray[np.float64]) -> float:
    """P-value of no difference, from resampled differences [r]; 1 without a resample."""
    beyond = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    return min(1.0, float(2 * (1 + beyond) / (1 + len(drawn))))


def _drawn_median(
    metric: RankingMetric, seeds: Sequence[RankedImages], times: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.float64]:
    """Median [r] over as many seeds as there are, drawn anew for each of r resamples of the parts."""
    figures = np.stack([metric(images.weighted(times)) for images in seeds])
    drawn = random.integers(len(seeds), size=figures.shape)
    return np.asarray(np.median(np.take_along_axis(figures, drawn, axis=0), axis=0))
