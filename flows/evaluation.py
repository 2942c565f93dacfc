"""Evaluation: how well the models did on days with labelled images."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.errors import PartlyDone, in_words
from flows.preflight.evaluation_choice import (
    EvaluationChoice,
    NothingToEvaluate,
    choose_evaluation,
    evaluated_days,
    look_for_labels,
)
from flows.preflight.night_size import WORTH_SECONDS
from flows.settings import Settings, load_settings, store_uri
from flows.watching.artifacts import leave_report, leave_table
from flows.watching.run_names import named, sealed_window, window
from flows.workplace import Workplace, settle, workplace
from reports.evaluation.measures import Measure
from storage.errors import StorageError
from storage.filesystem import Store, open_store
from storage.labels import labels
from storage.models.models import read_card
from storage.partitions.seals import read_seal
from storage.records import Partition
from tasks.evaluation.evaluate_partition import EvaluatedPartition, evaluate_partition, unchanged_partition
from tasks.evaluation.thresholds import ThresholdGoal
from tasks.evaluation.write_evaluation_report import CategoryFigures, EvaluationContents, write_evaluation_report

TASKS_PER_FLOW_RUN = 450
"""as in inspection: past this, another flow run takes the next partitions"""
SECONDS_A_PIXEL = 0.02 / 256**2
"""seconds of one core to evaluate a pixel of an anomaly map"""
_LONGEST_FOLDER = 80
_LOOKERS = 8
"""threads that read small objects, where most time is waiting"""

T = TypeVar("T")


@dataclass(frozen=True)
class EvaluationRun:
    """What one evaluation found."""

    run_id: str
    first_day: date
    last_day: date
    """included"""
    categories: tuple[CategoryFigures, ...]
    """one a category and model version"""
    means: tuple[Measure, ...]
    report: str
    """key of the HTML report"""
    figures: str
    """key of the same figures as JSON; figures.parquet lies beside it"""
    unlabelled: tuple[str, ...]
    """scored categories without an evaluation label in these days"""
    failed: tuple[tuple[str, str], ...]
    """(partition, or category whose labels cannot be read; reason)"""


class EvaluationFailed(PartlyDone):
    """Some partition could not be evaluated. `run` has the figures of the others."""

    def __init__(self, run: EvaluationRun) -> None:
        problems = "; ".join(f"{what}: {why}" for what, why in run.failed)
        super().__init__(
            run, f"{len(run.failed)} partitions or categories are in no figure. {problems}. Report: {run.report}"
        )


def _meant(parameters: Mapping[str, Any]) -> str:
    return sealed_window(parameters, evaluated_days)


@flow(name="evaluate", flow_run_name=named("evaluate", _meant))
def evaluate(
    store: str | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
    categories: list[str] | None = None,
    *,
    images: str | None = None,
    dask_address: str | None = None,
    options: dict[str, Any] | None = None,
) -> EvaluationRun:
    """Compare scores and maps of complete days with the evaluation labels; no model is loaded.

    Args:
        store: URI; default `RD_INSPECT_STORE`.
        first_day: default `last_day`.
        last_day: included; default `first_day`, or the last inspected day without either.
        categories: names; default every category with complete days in the period.
        images: URI of the images' own store, shown in the report; default `store`.
        dask_address: a running Dask scheduler; default an embedded cluster.
        options: settings by name; they override every other source.

    May be repeated: current labels and masks count. Raises NothingToEvaluate for days that are not complete or
    have no label, EvaluationFailed when a partition could not be evaluated; the others are.
    """
    settings = load_settings(
        store_uri(store), options={"images": images, "dask_address": dask_address, **(options or {})}
    )
    opened = open_store(settings.store, read_only=True)
    return _evaluate(settings, choose_evaluation(opened, first_day, last_day, categories), whole_plant=not categories)


def evaluate_if_labelled(
    store: str | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
    categories: list[str] | None = None,
    *,
    images: str | None = None,
    dask_address: str | None = None,
    options: dict[str, Any] | None = None,
) -> EvaluationRun | None:
    """`evaluate`, for the end of a night; None when these days have no evaluation label or are not complete."""
    opened = open_store(store_uri(store), read_only=True)
    try:
        choice = look_for_labels(opened, first_day, last_day, categories)
    except NothingToEvaluate:
        return None
    if not choice.labelled:
        return None
    first, last = choice.first_day, choice.last_day
    return evaluate(store, first, last, categories, images=images, dask_address=dask_address, options=options)


def _evaluate(settings: Settings, choice: EvaluationChoice, *, whole_plant: bool) -> EvaluationRun:
    first, last = choice.first_day, choice.last_day
    partitions, labelled, unread = choice.partitions, choice.labelled, choice.unread
    names = sorted({partition.category for partition in partitions})
    days = {partition.run_date for partition in partitions}
    with workplace(settings) as place:
        counted, failed = _count(settings, place, labelled, first, last)
        failed += unread.items()
        contents = EvaluationContents(
            first_day=first,
            last_day=last,
            folder="" if whole_plant else _folder(names),
            partitions=tuple(counted),
            unlabelled=tuple(
                name for name in names if name not in {*unread, *(partition.category for partition in labelled)}
            ),
            failed=tuple(failed),
            missing_days=tuple(day for day in _every_day(first, last) if day not in days),
            thresholds={name: _threshold_goal(settings, name) for name in names},
        )
        written = write_evaluation_report(
            settings.store,
            settings.images,
            contents,
            run_id=str(flow_run.id),
            evaluated_at=datetime.now(UTC),
            review_url=settings.plant.review_url,
        )
    title = f"Evaluation, {window(first, last)}"
    leave_report("evaluation-report", settings, written.report, title, written.markdown)
    rows = [_artifact_row(category) for category in written.categories]
    leave_table("evaluation-figures", settings, rows, title, report=written.report, problems=failed)
    run = EvaluationRun(
        str(flow_run.id), first, last, written.categories, written.means, written.report, written.figures_json,
        contents.unlabelled, contents.failed,
    )  # fmt: skip
    if failed:
        raise EvaluationFailed(run)
    return run


def _threshold_goal(settings: Settings, category: str) -> ThresholdGoal:
    chosen = settings.category(category)
    return ThresholdGoal(chosen.goal, chosen.extrapolate)


def _seconds(settings: Settings, partitions: Sequence[Partition]) -> float:
    """Estimated seconds of one core to evaluate them; it stops counting once it is much."""
    store, seconds = open_store(settings.store, read_only=True), 0.0
    for partition in partitions:
        with contextlib.suppress(StorageError):  # the partition's own task reports it
            if seal := read_seal(store, partition):
                maps = read_card(store, partition.category, partition.model_version).maps
                seconds += SECONDS_A_PIXEL * maps.height * maps.width * sum(plan.images for plan in seal.plans)
        if seconds > WORTH_SECONDS:
            break
    return seconds


def _count(
    settings: Settings, place: Workplace, partitions: Sequence[Partition], first: date, last: date
) -> tuple[list[EvaluatedPartition], list[tuple[str, str]]]:
    """(counts, problems), in as many flow runs as it takes."""
    store = settings.store
    counted = unchanged_partitions(open_store(store, read_only=True), partitions, first, last)
    known = {evaluated.partition for evaluated in counted}
    changed = [partition for partition in partitions if partition not in known]
    runner = place.runner(_seconds(settings, changed), tasks=len(changed))
    failed: list[tuple[str, str]] = []
    for group in _groups(changed):
        counts, problems = evaluate_partitions.with_options(task_runner=runner)(store, group, first, last)
        counted += counts
        failed += problems
    return counted, failed


def unchanged_partitions(
    store: Store, partitions: Sequence[Partition], first: date, last: date
) -> list[EvaluatedPartition]:
    """Counts of an earlier evaluation of the same days that would come out the same."""

    def look(partition: Partition) -> EvaluatedPartition | None:
        try:
            return unchanged_partition(store, partition, first, last, held(partition.category))
        except StorageError:  # the task that counts it reports what is wrong, or tries again
            return None

    held = cache(lambda category: labels.read_labels(store, category))
    with ThreadPoolExecutor(_LOOKERS) as pool:
        return [evaluated for evaluated in pool.map(look, partitions) if evaluated]


def _window(parameters: Mapping[str, Any]) -> str:
    return window(parameters["first"], parameters["last"])


def _groups(items: Sequence[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), TASKS_PER_FLOW_RUN):
        yield list(items[start : start + TASKS_PER_FLOW_RUN])


@flow(name="evaluate-partitions", flow_run_name=named("count", _window), validate_parameters=False)
def evaluate_partitions(
    store: str, partitions: list[Partition], first: date, last: date
) -> tuple[list[EvaluatedPartition], list[tuple[str, str]]]:
    """Count each partition on Dask: (counts, problems)."""
    evaluated, problems = settle(
        {_name(partition): evaluate_partition.submit(store, partition, first, last) for partition in partitions}
    )
    return list(evaluated.values()), _logged(problems)


def _logged(problems: Mapping[str, Exception]) -> list[tuple[str, str]]:
    for name, why in problems.items():
        get_run_logger().error("evaluation failed partition=%s: %s", name, in_words(why))
    return [(name, in_words(why)) for name, why in problems.items()]


def _name(partition: Partition) -> str:
    return f"{partition.category} of {partition.run_date} by {partition.model_version}"


def _every_day(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _folder(names: Sequence[str]) -> str:
    """Folder of figures for some categories only, beside the whole plant's."""
    joined = "+".join(names)
    if len(joined) > _LONGEST_FOLDER:
        joined = f"{len(names)}-categories-{hashlib.sha256(joined.encode()).hexdigest()[:8]}"
    return f"only-{joined}/"


def _artifact_row(figures: CategoryFigures) -> dict[str, Any]:
    row: dict[str, Any] = {
        "category": figures.category, "model version": figures.model_version,
        "normal": figures.normal, "anomalous": figures.anomalous,
    }  # fmt: skip
    row |= {measure.name: None if measure.value is None else round(measure.value, 4) for measure in figures.measures}
    return row | ({"recommended": figures.recommended} if figures.recommended else {})
