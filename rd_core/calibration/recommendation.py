"""The alpha whose threshold serves a goal best, chosen with labelled images, and what it does to other images.

A threshold chosen on the images that judge it looks better than it is. So the figures are cross-fitted: every part is
decided by the threshold that the images of the other parts choose (Stone, JRSS B 1974).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rd_core.calibration.goals import Costs, Goal
from rd_core.calibration.reachable import Reachable
from rd_core.metrics.image_metrics import check_images, image_ranking
from rd_core.metrics.intervals import TAIL, Interval, clopper_pearson
from rd_core.metrics.part_bootstrap import bounds, part_draws, parts_as_numbers
from rd_core.metrics.threshold_curve import ThresholdCurve

FEWEST_PARTS = 5
"""fewest parts with, and without, a defect for a recommendation"""
_FOLDS = 10
_RESAMPLES = 1000


@dataclass(frozen=True)
class Recommendation:
    """An alpha and its threshold. Rates and costs are cross-fitted, each with its 95 % interval."""

    alpha: float
    threshold: float
    low: float
    """of the threshold's 95 % interval"""
    high: float
    extrapolated: bool
    """whether the threshold rests on a fitted tail"""
    in_force: bool
    """whether it is the threshold in force"""
    recall: Interval
    false_alarm_rate: Interval
    recall_as_chosen: float
    """on the very images that chose it, which flatters"""
    false_alarm_rate_as_chosen: float
    cost: Interval | None
    """expected, an image of production; None without costs"""
    saving: Interval | None
    """expected, an image, beside the threshold in force; None without costs"""


def recommend(
    goal: Goal,
    choices: Reachable,
    in_force: float,
    scores: ArrayLike,
    is_anomalous: ArrayLike,
    parts: Sequence[str],
) -> Recommendation | None:
    """The best of `choices` for labelled images with scores float [n], labels bool [n] and parts [n].

    `in_force`: the alpha in force, which stays if it is as good as the best, or if a cheaper one does not save on
    images that did not choose it. None where no choice serves the goal, or
    where fewer than FEWEST_PARTS parts have, or have no, defect. Deterministic. Raises ValueError for scores that are
    not finite or lengths that differ.
    """
    values, labels = check_images(scores, is_anomalous)
    if not len(values) or min(_parts_by_label(labels, parts)) < FEWEST_PARTS:
        return None
    number, count = parts_as_numbers(parts, len(values))
    today = choices.place(in_force)
    place = _best(goal, choices, today, values, labels)
    if place is None:
        return None
    kept = values > choices.thresholds[today]
    flagged, saving = kept, Interval(0.0, 0.0, 0.0)
    if place != today:
        fold = _folds(labels, number, count)
        flagged = values > _held_out_thresholds(goal, choices, today, values, labels, fold, place)
        if isinstance(goal, Costs):
            saving = _saving(goal, flagged, kept, labels, number, count)
            if saving.value <= 0:
                place, flagged, saving = today, kept, Interval(0.0, 0.0, 0.0)
    chosen = _curve(choices, values, labels)
    rates = _rates(flagged, labels, number, count)
    return Recommendation(
        alpha=float(choices.alphas[place]),
        threshold=float(choices.thresholds[place]),
        low=float(choices.lows[place]),
        high=float(choices.highs[place]),
        extrapolated=bool(choices.extrapolated[place]),
        in_force=place == today,
        recall=rates[0],
        false_alarm_rate=rates[1],
        recall_as_chosen=float(chosen.recall[place]),
        false_alarm_rate_as_chosen=float(chosen.false_alarm_rate[place]),
        cost=_cost(goal, *rates) if isinstance(goal, Costs) else None,
        saving=saving if isinstance(goal, Costs) else None,
    )


def _parts_by_label(labels: NDArray[np.bool_], parts: Sequence[str]) -> tuple[int, int]:
    """(parts with a normal image, parts with an anomalous one)."""
    names = np.asarray(parts, dtype=object)
    return len(set(names[~labels])), len(set(names[labels]))


def _curve(choices: Reachable, values: NDArray[np.float64], labels: NDArray[np.bool_]) -> ThresholdCurve:
    return ThresholdCurve.of(image_ranking(values, labels)).at(choices.thresholds)


def _best(
    goal: Goal, choices: Reachable, today: int, values: NDArray[np.float64], labels: NDArray[np.bool_]
) -> int | None:
    """The place of the best choice: the one in force if nothing is better, else the middle of equally good ones."""
    best = np.flatnonzero(goal.best(_curve(choices, values, labels)))
    if not len(best):
        return None
    return today if today in best else int(best[len(best) // 2])


def _folds(labels: NDArray[np.bool_], number: NDArray[np.intp], parts: int) -> NDArray[np.intp]:
    """The fold of each image [n]: whole parts, dealt so that every fold has its share of those with a defect."""
    defective = np.zeros(parts, np.bool_)
    np.logical_or.at(defective, number, labels)
    shuffled = np.random.default_rng(0).permutation(parts)
    dealt = np.empty(parts, np.intp)
    dealt[shuffled[np.argsort(defective[shuffled], kind="stable")]] = np.arange(parts) % _FOLDS
    return dealt[number]


def _held_out_thresholds(
    goal: Goal,
    choices: Reachable,
    today: int,
    values: NDArray[np.float64],
    labels: NDArray[np.bool_],
    fold: NDArray[np.intp],
    place: int,
) -> NDArray[np.float64]:
    """The threshold of each image [n], chosen without its fold; that of `place` where the others choose none."""
    thresholds = np.empty(len(values))
    for held in np.unique(fold):
        others = fold != held
        chosen = _best(goal, choices, today, values[others], labels[others])
        thresholds[~others] = choices.thresholds[place if chosen is None else chosen]
    return thresholds


def _rates(
    flagged: NDArray[np.bool_], labels: NDArray[np.bool_], number: NDArray[np.intp], parts: int
) -> tuple[Interval, Interval]:
    """(recall, false-alarm rate), each with the wider ends of the exact interval of independent images and of the
    bootstrap over parts, which has no width where all are alike."""
    both = []
    for group in (labels, ~labels):
        hits, total = int((flagged & group).sum()), int(group.sum())
        exact = clopper_pearson(hits, total)
        low, high = bounds(_resampled(flagged, group, number, parts), TAIL)
        both.append(Interval(exact.value, min(low, exact.low), max(high, exact.high)))
    return both[0], both[1]


def _resampled(
    counted: NDArray[np.generic], group: NDArray[np.bool_], number: NDArray[np.intp], parts: int
) -> NDArray[np.float64]:
    """Mean of `counted` [n] over a group's images [n] in resamples of whole parts, [r]; NaN without one."""
    sums = np.bincount(number, weights=np.where(group, counted, 0), minlength=parts)
    totals = np.bincount(number, weights=group, minlength=parts)
    draws = np.concatenate(list(part_draws(parts, parts, _RESAMPLES, 0)))
    with np.errstate(invalid="ignore"):
        return np.asarray((draws @ sums) / (draws @ totals))


def _cost(goal: Costs, recall: Interval, alarms: Interval) -> Interval:
    """From the rates' intervals: as if both were at their worst, or best, together."""
    found = np.array([recall.value, recall.high, recall.low])
    stopped = np.array([alarms.value, alarms.low, alarms.high])
    return Interval(*goal.expected(found, stopped).tolist())


def _saving(
    goal: Costs,
    flagged: NDArray[np.bool_],
    today: NDArray[np.bool_],
    labels: NDArray[np.bool_],
    number: NDArray[np.intp],
    parts: int,
) -> Interval:
    """Expected cost an image with decisions `today` [n] less that with `flagged` [n].

    The interval has the wider ends of the bootstrap over parts and of the exact intervals of the decisions that
    change: where no labelled good part is stopped anew, some good part of production may be.
    """
    missed, stopped = goal.defect_share * goal.miss, (1 - goal.defect_share) * goal.alarm
    change = flagged.astype(np.int64) - today.astype(np.int64)
    draws = missed * _resampled(change, labels, number, parts) - stopped * _resampled(change, ~labels, number, parts)
    low, high = bounds(draws, TAIL)
    found, alarms = (_share_of_changes(int(change[group].sum()), int(group.sum())) for group in (labels, ~labels))
    value = missed * found.value - stopped * alarms.value
    return Interval(
        value,
        min(low, missed * found.low - stopped * alarms.high),
        max(high, missed * found.high - stopped * alarms.low),
    )


def _share_of_changes(net: int, total: int) -> Interval:
    """The share of cases that are newly flagged, or, negative, no longer; a threshold moves them one way."""
    share = clopper_pearson(abs(net), total)
    return share if net >= 0 else Interval(-share.value, -share.high, -share.low)
