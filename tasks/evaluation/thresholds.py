"""What the labelled images say of one model's threshold: its curves, and the alpha that serves the goal best."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.calibration.goals import Costs, Goal, WantedRecall
from rd_core.calibration.reachable import Reachable, reachable
from rd_core.calibration.recommendation import FEWEST_PARTS, Recommendation, recommend
from rd_core.calibration.threshold import MINIMUM_SCORES, Threshold
from rd_core.metrics.image_metrics import image_ranking
from rd_core.metrics.threshold_curve import ThresholdCurve
from reports.evaluation.measures import Measure, RecommendedThreshold, ThresholdCurves
from reports.number_format import percent
from storage.models.card import ModelCard
from tasks.evaluation.measures import measure_of


@dataclass(frozen=True)
class ThresholdGoal:
    """What a category's settings say about its threshold."""

    goal: Goal | None = None
    """None: alpha alone"""
    extrapolate: bool = True
    """whether a threshold may rest on a fitted tail"""


@dataclass(frozen=True, eq=False)
class LabelledScores:
    """The judged images of one category and model version."""

    scores: NDArray[np.float64]
    """[n]"""
    anomalous: NDArray[np.bool_]
    """[n]"""
    parts: Sequence[str]
    """[n]"""


def threshold_curves(
    images: LabelledScores, card: ModelCard | None, in_force: float, choices: Reachable | None, goal: Goal | None
) -> ThresholdCurves | None:
    """The curves, with costs if the goal has them; None without a judged image."""
    if not len(images.scores):
        return None
    curve = ThresholdCurve.of(image_ranking(images.scores, images.anomalous))
    both = curve.anomalous and curve.normal
    at, review = _review(choices, images) if choices is not None else (np.empty(0), np.empty(0))
    return ThresholdCurves(
        thresholds=curve.thresholds,
        recall=curve.recall if curve.anomalous else None,
        false_alarm_rate=curve.false_alarm_rate if curve.normal else None,
        cost=goal.expected(curve.recall, curve.false_alarm_rate) if both and isinstance(goal, Costs) else None,
        reachable=at,
        review=review,
        value=in_force,
        low=card.threshold.low if card else in_force,
        high=card.threshold.high if card else in_force,
    )


def _review(choices: Reachable, images: LabelledScores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(reachable thresholds [g], rising; share of the normal images within the interval of each [g])."""
    normal, order = np.sort(images.scores[~images.anomalous]), np.argsort(choices.thresholds, kind="stable")
    below = [np.searchsorted(normal, ends[order], side="right") for ends in (choices.lows, choices.highs)]
    return choices.thresholds[order], (below[1] - below[0]) / max(1, len(normal))


def choices_of(card: ModelCard | None, extrapolate: bool) -> Reachable | None:
    """The thresholds that alpha can reach; None if the card is gone or has too few held-out scores."""
    if card is None or len(card.calibration.scores) < MINIMUM_SCORES:
        return None
    in_force = Threshold(**asdict(card.threshold))
    return reachable(card.calibration.scores, in_force, extrapolate=extrapolate)


def recommendation(
    goal: Goal, choices: Reachable | None, alpha: float | None, images: LabelledScores
) -> RecommendedThreshold:
    """The alpha that serves the goal best, or why there is none; `alpha`: the one in force."""
    name, words = _in_words(goal)
    if choices is None or alpha is None:
        return RecommendedThreshold(name, words, why="the model card with its held-out scores is gone")
    found = recommend(goal, choices, alpha, images.scores, images.anomalous, images.parts)
    if found is None:
        return RecommendedThreshold(name, words, why=_why_none(images))
    return RecommendedThreshold(
        name,
        words,
        alpha=found.alpha,
        threshold=found.threshold,
        low=found.low,
        high=found.high,
        extrapolated=found.extrapolated,
        in_force=found.in_force,
        figures=tuple(_figures(found, images)),
        recall_as_chosen=found.recall_as_chosen,
        false_alarm_rate_as_chosen=found.false_alarm_rate_as_chosen,
        caution=_caution(goal, int(images.anomalous.sum())),
    )


def _in_words(goal: Goal) -> tuple[str, str]:
    if isinstance(goal, Costs):
        return "cheapest", (
            f"a miss that costs {goal.miss:g}, a stopped good part that costs {goal.alarm:g} and "
            f"{percent(goal.defect_share)} defects in production"
        )
    assert isinstance(goal, WantedRecall)
    return "wanted recall", f"a wanted recall of {percent(goal.share)}"


def _figures(found: Recommendation, images: LabelledScores) -> list[Measure]:
    defects = int(images.anomalous.sum())
    figures = [
        measure_of("recall", found.recall, defects, "anomalous images"),
        measure_of("false_alarm_rate", found.false_alarm_rate, len(images.scores) - defects, "normal images"),
    ]
    costs = (("cost", found.cost), ("saving", found.saving))
    return figures + [measure_of(name, cost, len(images.scores)) for name, cost in costs if cost is not None]


def _why_none(images: LabelledScores) -> str:
    names = np.asarray(images.parts, dtype=object)
    good, defective = (len(set(names[chosen])) for chosen in (~images.anomalous, images.anomalous))
    if min(good, defective) < FEWEST_PARTS:
        return (
            f"{defective} labelled parts with a defect and {good} without are too few to say anything; label at "
            f"least {FEWEST_PARTS} of each"
        )
    return (
        "no alpha gives a threshold that finds enough of these defects: they score like good parts. Look at the "
        "misses and train a better model"
    )


def _caution(goal: Goal, defects: int) -> str | None:
    if not isinstance(goal, WantedRecall) or goal.may_miss(defects) is not None:
        return None
    return (
        f"{defects} labelled defects can prove a recall of {percent(defects / (defects + 1))} at most, so the "
        f"threshold lies below all of them; label {int(np.ceil(goal.share / (1 - goal.share) - 1e-9))} or more."
    )
