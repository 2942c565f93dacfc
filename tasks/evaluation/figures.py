"""From the counts of one category's and model version's partitions to its figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rd_core.metrics import image_metrics, ranking
from rd_core.metrics.decisions import Decisions, decisions_at
from rd_core.metrics.defect_kinds import flagged_by_kind
from rd_core.metrics.intervals import Interval
from rd_core.metrics.part_bootstrap import RankingMetric, part_bootstrap
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.region_recall import RegionRecall
from reports.evaluation.measures import EvaluatedCategory, LabelCounts, Measure, ShareRow
from storage.models.card import ModelCard
from tasks.evaluation.curves import pro_curve, roc_curve
from tasks.evaluation.evaluate_partition import EvaluatedPartition
from tasks.evaluation.measures import measure_of, pixel_measures
from tasks.evaluation.thresholds import LabelledScores, ThresholdGoal, choices_of, recommendation, threshold_curves
from tasks.reporting.promise import promise_of

NO_KIND = "no kind given"
_PROBLEMS_LISTED = 100
_MOST_DRAWS = 20_000_000
"""resamples times images: some seconds of work"""


@dataclass(frozen=True, eq=False)
class Gathered:
    """All counts of one category and model version."""

    category: str
    model_version: str
    partitions: tuple[EvaluatedPartition, ...]
    """in the order of their days"""
    rows: tuple[dict[str, Any], ...]
    """of evaluation_tables.IMAGES, of all partitions"""
    tables: PixelTables
    recalls: tuple[RegionRecall, ...]
    """of the partitions that have them"""
    aupimo: NDArray[np.float64]
    """[masked defects]"""
    card: ModelCard | None
    """None if the card is gone"""
    threshold: ThresholdGoal
    """what the settings want of the threshold"""

    @property
    def judged(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["status"] == "ok"]


def category_figures(gathered: Gathered) -> EvaluatedCategory:
    """Every figure. Counts and thresholds come from the rows, so no model is needed."""
    judged = gathered.judged
    scores, margins = (np.array([find(row) for row in judged], np.float64) for find in (_score, _margin))
    anomalous = np.array([row["label"] == "anomalous" for row in judged], np.bool_)
    decided = decisions_at(0.0, margins, anomalous)
    counts = _label_counts(gathered)
    problems = [(row["image_key"], row["problem"]) for row in gathered.rows if row["problem"]]
    threshold, alpha = (
        judged[-1]["threshold"] if judged else None,
        gathered.card.threshold.alpha if gathered.card else None,
    )
    images = LabelledScores(scores, anomalous, [row["part"] for row in judged])
    goal, choices = gathered.threshold.goal, choices_of(gathered.card, gathered.threshold.extrapolate)
    return EvaluatedCategory(
        category=gathered.category,
        model_version=gathered.model_version,
        method=gathered.card.method.name if gathered.card else None,
        days=tuple(sorted(evaluated.partition.run_date for evaluated in gathered.partitions)),
        in_mean=True,
        counts=counts,
        measures=(
            *_image_measures(scores, anomalous, images.parts),
            *_decision_measures(decided),
            *pixel_measures(gathered.tables, gathered.recalls, gathered.aupimo, counts.anomalous),
        ),
        threshold=threshold,
        alpha=alpha,
        promise=promise_of(gathered.card) if gathered.card else None,
        curves=threshold_curves(images, gathered.card, threshold, choices, goal) if threshold is not None else None,
        recommended=recommendation(goal, choices, alpha, images) if goal is not None else None,
        by_kind=_by_kind(margins[anomalous], [row["kind"] for row in judged if row["label"] == "anomalous"]),
        by_size=_by_size(gathered.recalls),
        normal_scores=scores[~anomalous],
        anomalous_scores=scores[anomalous],
        roc=roc_curve(scores, anomalous),
        pro=pro_curve(gathered.tables),
        problems=tuple(problems[:_PROBLEMS_LISTED]),
        problems_left_out=max(0, len(problems) - _PROBLEMS_LISTED),
        notes=_notes(gathered),
    )


def mark_latest(
    categories: Sequence[EvaluatedCategory], sealed_on: dict[tuple[str, str], Any]
) -> list[EvaluatedCategory]:
    """The same, with `in_mean` for one version of each category: that of the latest day, then of the latest seal.

    `sealed_on`: time of the latest seal by (category, model version).
    """

    def age(category: EvaluatedCategory) -> tuple[date, Any]:
        return category.days[-1], sealed_on[category.category, category.model_version]

    newest = {
        name: max((c for c in categories if c.category == name), key=age) for name in {c.category for c in categories}
    }
    return [replace(category, in_mean=newest[category.category] is category) for category in categories]


def macro_means(categories: Sequence[EvaluatedCategory]) -> tuple[Measure, ...]:
    """The mean of each figure over the categories that define it, one version each."""
    chosen = [category for category in categories if category.in_mean]
    names = [measure.name for measure in chosen[0].measures] if chosen else []
    return tuple(_macro_mean(name, [category.measure(name).value for category in chosen]) for name in names)


def _macro_mean(name: str, values: Sequence[float | None]) -> Measure:
    defined = [value for value in values if value is not None]
    mean = sum(defined) / len(defined) if defined else None
    why = None if defined else "in no category is it defined"
    return Measure(name, mean, n=len(defined), cases="categories", why=why)


def _score(row: dict[str, Any]) -> float:
    return float(row["score"])


def _margin(row: dict[str, Any]) -> float:
    """Above 0 exactly if the image was flagged: the float64 difference of two float32 has the right sign."""
    return float(row["score"]) - float(row["threshold"])


def _label_counts(gathered: Gathered) -> LabelCounts:
    judged = gathered.judged
    sums = {
        name: sum(getattr(evaluated, name) for evaluated in gathered.partitions)
        for name in ("unlabelled", "for_training", "trained_on", "chose", "unreadable", "not_scored")
    }
    return LabelCounts(
        normal=sum(row["label"] == "normal" for row in judged),
        anomalous=sum(row["label"] == "anomalous" for row in judged),
        masked=gathered.tables.anomalous_images,
        unmasked=sum(row["pixels"] == "no mask" for row in judged),
        left_out=sum(row["pixels"] == "left out" for row in judged),
        **sums,
    )


def _image_measures(scores: NDArray[np.float64], anomalous: NDArray[np.bool_], parts: Sequence[str]) -> list[Measure]:
    why = _missing_class(anomalous)
    if why:
        names = ("image_auroc", "image_average_precision", "image_f1_max")
        return [Measure(name, None, n=len(scores), why=why) for name in names]
    return [
        _with_interval("image_auroc", ranking.auroc, image_metrics.image_auroc, scores, anomalous, parts),
        _with_interval(
            "image_average_precision",
            ranking.average_precision,
            image_metrics.image_average_precision,
            scores,
            anomalous,
            parts,
        ),
        Measure("image_f1_max", image_metrics.image_f1_max(scores, anomalous).value, n=len(scores)),
    ]


def _missing_class(anomalous: NDArray[np.bool_]) -> str | None:
    if anomalous.any() and not anomalous.all():
        return None
    missing = [word for word, there in (("normal", (~anomalous).any()), ("anomalous", anomalous.any())) if not there]
    return f"no judged image is labelled {' or '.join(missing)}"


def _with_interval(
    name: str,
    metric: RankingMetric,
    plain: Callable[[NDArray[np.float64], NDArray[np.bool_]], float],
    scores: NDArray[np.float64],
    anomalous: NDArray[np.bool_],
    parts: Sequence[str],
) -> Measure:
    if len(set(parts)) < 2:
        return Measure(name, plain(scores, anomalous), n=len(scores), why="no interval: all images show one part")
    resamples = int(np.clip(_MOST_DRAWS // len(scores), 200, 1000))
    return measure_of(name, part_bootstrap(metric, scores, anomalous, parts, resamples=resamples), len(scores))


def _decision_measures(decided: Decisions) -> list[Measure]:
    flagged = decided.true_positives + decided.false_positives
    defects = decided.true_positives + decided.false_negatives
    normals = decided.false_positives + decided.true_negatives
    return [
        measure_of("recall", decided.recall, defects, "anomalous images", "no judged image is labelled anomalous"),
        measure_of("false_alarm_rate", decided.false_alarm_rate, normals, "normal images",
                 "no judged image is labelled normal"),
        measure_of("precision", decided.precision, flagged, "alarms", "no judged image scored above the threshold"),
    ]  # fmt: skip


def _by_kind(margins: NDArray[np.float64], kinds: list[str | None]) -> tuple[ShareRow, ...]:
    return tuple(
        _share(row.kind, row.flagged, row.total, row.share)
        for row in flagged_by_kind(0.0, margins, [kind or NO_KIND for kind in kinds])
    )


def _by_size(recalls: Sequence[RegionRecall]) -> tuple[ShareRow, ...]:
    if not recalls:
        return ()
    merged = reduce(add, recalls)
    return tuple(
        _share(f"{_percent(row.above)} to {_percent(row.up_to)}", row.found, row.total, row.recall)
        for row in merged.by_size()
    )


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _share(name: str, hits: int, total: int, interval: Interval) -> ShareRow:
    return ShareRow(name, hits, total, interval.value if total else None, interval.low, interval.high)


def _notes(gathered: Gathered) -> tuple[str, ...]:
    notes = [note for evaluated in gathered.partitions for note in evaluated.notes]
    if gathered.card is None:
        notes.append(
            f"The model card of {gathered.model_version} is gone: which images trained it, which belong to one part "
            "and which false-alarm rate was promised is unknown. Restore the card and evaluate again."
        )
    return tuple(notes)
