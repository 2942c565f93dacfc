"""A whole comparison: one half chooses a method, the other reports on all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rd_core.comparison.contender import Contender, Cost, check_contenders
from rd_core.comparison.differences import RESAMPLES, Differences, Resamples, differences_from, resample
from rd_core.comparison.figures import DecisionFigures, PixelFigures, decision_figures
from rd_core.comparison.halves import Halves, halves_of
from rd_core.comparison.judged_images import JudgedImage, labels_of, parts_of
from rd_core.comparison.winner import Choice, choose
from rd_core.metrics import ranking
from rd_core.metrics.part_bootstrap import RankingMetric


@dataclass(frozen=True)
class MethodFigures:
    """One method, on the images that report."""

    method: str
    seeds: tuple[int, ...]
    typical: int
    """the seed whose model stands for the method: of median image AUROC on the images that choose"""
    cost: Cost
    """medians over its seeds"""
    decisions: DecisionFigures
    """of the typical model"""
    pixels: PixelFigures | None
    """of the typical model"""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a comparison found."""

    images: tuple[JudgedImage, ...]
    halves: Halves
    choice: Choice
    methods: tuple[MethodFigures, ...]
    """best first by the images that choose; by name if nothing was chosen"""
    choosing: Differences | None
    """image AUROC on the half that chooses, from the best method; None if nothing was chosen"""
    auroc: Differences | None
    """image AUROC on the images that report, from the named method (the first, if none is named); None without two
    parts"""
    average_precision: Differences | None
    """likewise"""

    @property
    def typical(self) -> dict[str, int]:
        """The seed of each method's typical model."""
        return {figures.method: figures.typical for figures in self.methods}


def judge(
    images: Sequence[JudgedImage], contenders: Sequence[Contender], *, resamples: int = RESAMPLES, seed: int = 0
) -> Judgement:
    """Choose a method by one half of the images and report on the other.

    resamples, seed: of the bootstrap. Raises ConfigError for images, contenders or scores that contradict each other,
    ValueError for scores that are not finite.
    """
    check_contenders(contenders, len(images))
    halves, methods = halves_of(images), _by_method(contenders)
    choosing: Differences | None = None
    if halves.both:
        drawn = _resampled(ranking.auroc, images, methods, halves.choosing, resamples, seed)
        choosing = differences_from(_best(drawn), drawn)
        typical = {name: _typical(drawn.by_seed[name], rows) for name, rows in methods.items()}
        order = sorted(methods, key=lambda name: (-drawn.figures[name], name))
    else:
        typical = {name: min(one.seed for one in rows) for name, rows in methods.items()}
        order = sorted(methods)
    costs = {name: _median_cost(rows) for name, rows in methods.items()}
    choice = _choice(images, contenders, halves, choosing, costs, typical)
    figures = [_figures(name, methods[name], typical[name], costs[name], images, halves) for name in order]
    reference = choice.method or order[0]

    def reported(metric: RankingMetric) -> Differences | None:
        if len({image.part for image, inside in zip(images, halves.reporting, strict=True) if inside}) < 2:
            return None
        return differences_from(reference, _resampled(metric, images, methods, halves.reporting, resamples, seed))

    return Judgement(
        tuple(images), halves, choice, tuple(figures), choosing,
        reported(ranking.auroc), reported(ranking.average_precision),
    )  # fmt: skip


def _by_method(contenders: Sequence[Contender]) -> dict[str, list[Contender]]:
    """Contenders of each method, by rising seed."""
    ordered = sorted(contenders, key=lambda one: (one.method, one.seed))
    methods: dict[str, list[Contender]] = {}
    for one in ordered:
        methods.setdefault(one.method, []).append(one)
    return methods


def _resampled(
    metric: RankingMetric, images: Sequence[JudgedImage], methods: Mapping[str, Sequence[Contender]],
    half: NDArray[np.bool_], resamples: int, seed: int,
) -> Resamples:  # fmt: skip
    scores = {name: np.stack([one.scores[half] for one in rows]) for name, rows in methods.items()}
    parts = [part for part, inside in zip(parts_of(images), half, strict=True) if inside]
    return resample(metric, scores, labels_of(images)[half], parts, resamples, seed)


def _best(drawn: Resamples) -> str:
    return min(drawn.figures, key=lambda name: (-drawn.figures[name], name))


def _typical(figures: Sequence[float], contenders: Sequence[Contender]) -> int:
    """The seed of the median figure, of two the lower."""
    ranked = sorted(zip(figures, (one.seed for one in contenders), strict=True))
    return ranked[(len(ranked) - 1) // 2][1]


def _median_cost(contenders: Sequence[Contender]) -> Cost:
    def median(name: str) -> float:
        return float(np.median([getattr(one.cost, name) for one in contenders]))

    return Cost(
        median("training_seconds"),
        median("images_per_second"),
        int(median("peak_memory")),
        int(median("model_bytes")),
    )


def _choice(
    images: Sequence[JudgedImage], contenders: Sequence[Contender], halves: Halves, choosing: Differences | None,
    costs: Mapping[str, Cost], typical: Mapping[str, int],
) -> Choice:  # fmt: skip
    if choosing is None:
        return Choice(None, None, False, (), {}, f"No method is named. {halves.sentence}")
    drawn = any(image.drawn for image in images)
    flattered = frozenset(one.method for one in contenders if drawn and one.learns_from_drawn)
    choice = choose(choosing, costs, typical, flattered)
    if drawn and choice.method:
        return replace(
            choice, sentence=f"{choice.sentence} The defects are drawn; real ones may rank methods otherwise."
        )
    return choice


def _figures(
    name: str,
    contenders: Sequence[Contender],
    typical: int,
    cost: Cost,
    images: Sequence[JudgedImage],
    halves: Halves,
) -> MethodFigures:
    model = next(one for one in contenders if one.seed == typical)
    reporting = [image for image, inside in zip(images, halves.reporting, strict=True) if inside]
    decisions = decision_figures(model.scores[halves.reporting], reporting, model.threshold, model.review)
    seeds = tuple(one.seed for one in contenders)
    return MethodFigures(name, seeds, typical, cost, decisions, model.pixels)
