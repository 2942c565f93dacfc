"""Writing the report of one inspection run, from the store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from reports.run.advice import blank_in_words
from reports.run.markdown import render_run_markdown
from reports.run.outcome import CategoryRun, RunReport
from reports.run.report import render_run_report
from reports.scored_image import ScoredImage
from storage.errors import StorageError, TransientFault
from storage.filesystem import Store, open_store
from storage.images import content_digest
from storage.labels import labels
from storage.layout import report_key, scores_prefix
from storage.models import models
from storage.models.card import ModelCard
from storage.partitions import seals
from storage.records import Partition
from tasks.night.night_summary import NightSummary, summarise_night
from tasks.reporting.kept_result import file_digest, inputs_digest, keep, kept, stated
from tasks.reporting.partition_state import labels_state, scored_state
from tasks.reporting.promise import promise_of
from tasks.reporting.published_reports import INSPECTION, publish_again, publish_report
from tasks.reporting.scored_picture import scored_images
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.software import software

FIRST, WORST = 6, 6
"""images of a category: to look at first, and of the highest other scores"""
MOST_ERRORS_LISTED = 50


@dataclass(frozen=True)
class CategoryOutcome:
    """The outcome of one category, as the flow knows it."""

    category: str
    state: str
    """sealed | already sealed | partly sealed | failed | no champion | silent camera | no images | ignored. Partly
    sealed: a folder of that day is unreadable; silent camera: no image of a category that has a champion and is made
    every day"""
    model_version: str | None = None
    images: int = 0
    """number of images now; the counts below are of all sealed images of the day, or of this run's before the report
    """
    ok: int = 0
    unreadable: int = 0
    rejected: int = 0
    anomalous: int = 0
    scored_now: int = 0
    """number of images that this run scored"""
    seconds: float = 0.0
    """wall clock from the first batch to the seal"""
    seconds_by_stage: tuple[tuple[str, float], ...] = ()
    message: str | None = None


@dataclass(frozen=True)
class WrittenReport:
    """The report's key, and the report as Markdown."""

    key: str
    markdown: str
    outcome: str
    """the task's outcome; or 'completed with rejects' if a sealed image of the day has no score"""
    blank: tuple[tuple[str, str], ...] = ()
    """(category, in words) with blank images"""
    counts: tuple[tuple[str, int, int, int, int], ...] = ()
    """(category, ok, unreadable, rejected, anomalous) of all sealed images of the day, of any run"""


@task(name="write-run-report", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def write_run_report(
    store_uri: str,
    images_uri: str,
    run_date: date,
    *,
    run_id: str,
    outcome: str,
    categories: Sequence[CategoryOutcome],
    started_at: datetime,
    finished_at: datetime,
    litter: str = "",
    review_url: str | None = None,
) -> WrittenReport:
    """Draw the run's report from sealed scores, maps and images, and write it.

    A category with an unreadable model, seal or labels has only its outcome and the problem. A run without new scores
    keeps an identical report of the run before and returns its key.
    """
    store, images = open_store(store_uri), open_store(images_uri, read_only=True)
    inputs = inputs_digest(
        [store_uri, images_uri, litter, review_url, outcome, [*_states(store, run_date, categories)]]
    )
    kept_key = report_key("inspection", run_date, f"{_of_categories(categories)}.inputs.json")
    unchanged = (
        kept(store, kept_key, inputs, images) if not any(category.scored_now for category in categories) else None
    )
    if unchanged is not None:
        publish_again(store, INSPECTION, run_date, unchanged["key"])
        rows = {name: tuple(tuple(row) for row in unchanged[name]) for name in ("blank", "counts")}
        return WrittenReport(**{**unchanged, **rows})
    seen: dict[str, str | None] = {}
    runs = tuple(_category_run(store, images, run_date, category, seen) for category in categories)
    if outcome == "completed" and any(run.unreadable + run.rejected for run in runs):
        outcome = "completed with rejects"
    report = RunReport(
        run_id=run_id,
        run_date=run_date,
        store_uri=store_uri,
        started_at=started_at,
        finished_at=finished_at,
        outcome=outcome,
        categories=runs,
        litter=litter,
        review_url=review_url,
        software=software(),
    )
    key = report_key("inspection", run_date, f"{run_id}.html")
    page = render_run_report(report)
    publish_report(store, INSPECTION, run_date, key, page)
    blank = tuple((run.category, blank_in_words(run.blank, run.ok)) for run in report.categories if run.blank)
    counts = tuple(
        (run.category, run.ok, run.unreadable, run.rejected, run.anomalous) for run in runs if run.scores_key
    )
    written = WrittenReport(key, render_run_markdown(report), outcome, blank, counts)
    keep(store, kept_key, inputs, written, {key: file_digest(key, page.encode("utf-8"))}, sorted(seen.items()))
    return written


def _of_categories(categories: Sequence[CategoryOutcome]) -> str:
    """A name for reports of the same categories, so that runs of others do not displace stored results."""
    names = "\n".join(sorted(category.category for category in categories))
    return content_digest(names.encode("utf-8", "surrogatepass"))[:16]


def _states(store: Store, run_date: date, categories: Sequence[CategoryOutcome]) -> Iterator[Any]:
    """All contents of a report that do not depend on the run itself."""
    for category in categories:
        state = "already sealed" if category.state == "sealed" else category.state
        yield [category.category, state, category.model_version, category.images, category.message]
        if category.model_version is not None:
            partition = Partition(category.category, run_date, category.model_version)
            yield [*scored_state(store, partition), *_labels_of_run(store, partition)]


def _labels_of_run(store: Store, partition: Partition) -> list[Any]:
    """The labels, and why some cannot be read."""
    unread: list[str] = []
    try:
        held = labels.read_labels(store, partition.category, unread=partial(_note, unread))
    except TransientFault:
        raise
    except StorageError as e:
        return [str(e)]
    return [*labels_state(store, partition, held), unread]


def _note(unread: list[str], key: str, error: StorageError) -> None:
    unread.append(f"{key} {error}")


def _category_run(
    store: Store, images: Store, run_date: date, outcome: CategoryOutcome, seen: dict[str, str | None]
) -> CategoryRun:
    """The category's part of the report; `seen` collects the state of shown images."""
    run = CategoryRun(
        category=outcome.category,
        state=outcome.state,
        model_version=outcome.model_version,
        images=outcome.images,
        seconds_by_stage=dict(outcome.seconds_by_stage),
        images_per_second=outcome.scored_now / outcome.seconds if outcome.seconds else None,
        message=outcome.message,
    )
    if outcome.model_version is None:
        return run
    try:
        return _with_scores(store, images, run_date, run, outcome.model_version, seen)
    except TransientFault:
        raise
    except StorageError as e:
        get_run_logger().exception("no figures in the report category=%s", outcome.category)
        return replace(run, message=" ".join(filter(None, (outcome.message, f"No figures are shown: {e}"))))


def _with_scores(
    store: Store, images: Store, run_date: date, run: CategoryRun, version: str, seen: dict[str, str | None]
) -> CategoryRun:
    """`run` with the facts of its card and sealed rows."""
    card = models.read_card(store, run.category, version)
    run = replace(
        run,
        method=card.method.name,
        threshold=card.threshold.value,
        alpha=card.threshold.alpha,
        promise=promise_of(card),
        calibration_scores=np.asarray(card.calibration.scores, dtype=np.float32),
    )
    seal = seals.read_seal(store, Partition(run.category, run_date, version))
    if seal is None:
        return run
    unread: list[str] = []
    most = {"worst": WORST + FIRST, "first": FIRST, "errors": MOST_ERRORS_LISTED}
    night = summarise_night(store, seal, alpha=card.threshold.alpha, **most)
    seen.update(
        stated(images, (key for table in (night.first, night.worst) for key in table["image_key"].to_pylist()))
    )
    first, worst = _pictured(store, images, run.category, night, card, unread)
    return replace(
        run,
        ok=night.statuses["ok"],
        unreadable=night.statuses["unreadable"],
        rejected=night.statuses["rejected"],
        anomalous=night.anomalous,
        to_review=night.to_review,
        blank=night.blank,
        duplicates=night.duplicates,
        scores=night.scores,
        first=first,
        worst=worst,
        message=" ".join([*([run.message] if run.message else []), *unread]) or None,
        unreadable_images=night.errors,
        maps_key=", ".join(plan.map_store for plan in seal.plans),
        scores_key=scores_prefix(run.category, run_date, version),
    )


def _pictured(
    store: Store, images: Store, category: str, night: NightSummary, card: ModelCard, unread: list[str]
) -> tuple[list[ScoredImage], list[ScoredImage]]:
    """(images to look at first, highest scores of the others), with their readable labels; `unread` collects the
    reasons of the others."""

    def tell(key: str, error: StorageError) -> None:
        unread.append(f"{key} does not read, and nothing can be trained on or evaluated until it does. {error}")

    held = labels.read_labels(store, category, unread=tell)
    known = held.select(["image_key", "label", "kind"]).to_pylist()
    label_of = {row["image_key"]: row for row in known}
    first = night.first.to_pylist()
    shown = {row["image_key"] for row in first}
    others = [row for row in night.worst.to_pylist() if row["image_key"] not in shown][:WORST]
    unlabelled = {"label": None, "kind": None}

    def drawn(rows: list[dict[str, Any]]) -> list[ScoredImage]:
        labelled = ({**row, **label_of.get(row["image_key"], unlabelled), "mask_key": None} for row in rows)
        return scored_images(store, images, labelled, card)

    return drawn(first), drawn(others)
