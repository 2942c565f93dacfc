"""The report of one evaluation, from its partitions' counts."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from rd_core.metrics.aupimo import Aupimo
from rd_core.metrics.pixel_tables import PixelTables
from reports.evaluation.export import figure_rows, figure_tree
from reports.evaluation.markdown import render_evaluation_markdown
from reports.evaluation.measures import EvaluatedCategory, EvaluationReport, Measure
from reports.evaluation.report import render_evaluation_report
from reports.evaluation.threshold_words import in_short
from storage.errors import KeyNotFound
from storage.filesystem import Store, open_store
from storage.layout import evaluation_prefix
from storage.models import models
from storage.models.card import ModelCard
from storage.partitions import seals
from storage.stores import parquet
from tasks.evaluation.evaluate_partition import EvaluatedPartition
from tasks.evaluation.figures import Gathered, category_figures, macro_means, mark_latest
from tasks.evaluation.tables import AUPIMO, read_defects, read_pixels, read_rows, write_rows
from tasks.evaluation.thresholds import ThresholdGoal
from tasks.reporting.kept_result import bytes_there, file_digest, inputs_digest, keep, kept, stated
from tasks.reporting.partition_state import masks_state, scored_state
from tasks.reporting.published_reports import EVALUATION, publish_again, publish_report
from tasks.reporting.scored_picture import scored_images
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.software import software

PICTURES = 240
"""images of a report, as long as every gallery may have between FEWEST_IN_GALLERY and MOST_IN_GALLERY"""
MOST_IN_GALLERY, FEWEST_IN_GALLERY = 6, 2
FIGURES = pa.schema(
    [
        ("first_day", pa.date32()),
        ("last_day", pa.date32()),
        ("category", pa.string()),
        ("model_version", pa.string()),
        ("figure", pa.string()),
        ("of", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n", pa.int64()),
        ("cases", pa.string()),
        ("why", pa.string()),
    ]
)


@dataclass(frozen=True)
class EvaluationContents:
    """The input of an evaluation report: receipts and names, no arrays."""

    first_day: date
    last_day: date
    folder: str
    """below the evaluation's prefix: "", or ending in "/" if only some categories were requested"""
    partitions: tuple[EvaluatedPartition, ...]
    unlabelled: tuple[str, ...] = ()
    """inspected categories without an evaluation label in these days"""
    failed: tuple[tuple[str, str], ...] = ()
    """(partition, why)"""
    missing_days: tuple[date, ...] = ()
    thresholds: Mapping[str, ThresholdGoal] = field(default_factory=dict)
    """what the settings want of each category's threshold; alpha alone of one that is not in it"""


@dataclass(frozen=True)
class CategoryFigures:
    """The main figures of one category and model version."""

    category: str
    model_version: str
    normal: int
    anomalous: int
    measures: tuple[Measure, ...]
    recommended: str | None = None
    """the recommended alpha in one line; None if the settings have no goal, and for an earlier version"""


@dataclass(frozen=True)
class WrittenEvaluation:
    """The report's key and main figures."""

    report: str
    """key of the HTML"""
    figures_json: str
    figures_parquet: str
    markdown: str
    categories: tuple[CategoryFigures, ...]
    means: tuple[Measure, ...]


@dataclass
class _Made:
    """Intermediate results of a report."""

    drawn: dict[str, str | None] = field(default_factory=dict)
    """state of each shown image"""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 (hex) of each file written beside the counts, by key"""


@task(name="write-evaluation-report", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def write_evaluation_report(
    store_uri: str,
    images_uri: str,
    contents: EvaluationContents,
    *,
    run_id: str,
    evaluated_at: datetime,
    review_url: str | None = None,
) -> WrittenEvaluation:
    """Merge the partitions' counts and write HTML, JSON and Parquet of the same figures.

    A report of the same inputs stays, with its run and time.
    """
    store, images = open_store(store_uri), open_store(images_uri, read_only=True)
    inputs = inputs_digest([store_uri, images_uri, review_url, contents, [*_states(store, contents)]])
    key = f"{evaluation_prefix(contents.first_day, contents.last_day)}{contents.folder}inputs.json"
    unchanged = kept(store, key, inputs, images)
    if unchanged is not None:
        publish_again(store, EVALUATION, contents.last_day, unchanged["report"])
        return _restored(unchanged)
    by_model: defaultdict[tuple[str, str], list[EvaluatedPartition]] = defaultdict(list)
    for counted in sorted(contents.partitions, key=lambda counted: counted.partition.run_date):
        by_model[counted.partition.category, counted.partition.model_version].append(counted)
    most = int(np.clip(PICTURES // (3 * max(1, len(by_model))), FEWEST_IN_GALLERY, MOST_IN_GALLERY))
    made = _Made()
    evaluated = [
        _category(store, images, by_model[name], most, made, contents.thresholds.get(name[0], ThresholdGoal()))
        for name in sorted(by_model)
        if any(of.judged + of.unreadable + of.not_scored + of.trained_on + of.chose for of in by_model[name])
    ]
    categories = mark_latest(evaluated, {name: _sealed_at(store, many[-1]) for name, many in by_model.items()})
    report = EvaluationReport(
        first_day=contents.first_day,
        last_day=contents.last_day,
        store_uri=store_uri,
        run_id=run_id,
        evaluated_at=evaluated_at,
        categories=tuple(categories),
        means=macro_means(categories),
        unlabelled=contents.unlabelled,
        failed=contents.failed,
        missing_days=contents.missing_days,
        review_url=review_url,
        software=software(),
    )
    written, files = _write(store, contents, report)
    keep(store, key, inputs, written, {**files, **made.files}, sorted(made.drawn.items()))
    return written


def _states(store: Store, contents: EvaluationContents) -> Iterator[Any]:
    """The inputs of each partition's figures, pictures and AUPIMO."""
    for evaluated in contents.partitions:
        yield [bytes_there(store, key) for key in (evaluated.images, evaluated.pixels, evaluated.defects)]
        yield scored_state(store, evaluated.partition)
        yield masks_state(store, read_rows(store, evaluated.images))


def _restored(kept_result: dict[str, Any]) -> WrittenEvaluation:
    def measures(many: list[dict[str, Any]]) -> tuple[Measure, ...]:
        return tuple(Measure(**measure) for measure in many)

    categories = tuple(
        CategoryFigures(**{**entry, "measures": measures(entry["measures"])}) for entry in kept_result["categories"]
    )
    return WrittenEvaluation(**{**kept_result, "categories": categories, "means": measures(kept_result["means"])})


def _category(
    store: Store,
    images: Store,
    partitions: Sequence[EvaluatedPartition],
    most: int,
    made: _Made,
    threshold: ThresholdGoal,
) -> EvaluatedCategory:
    partition = partitions[0].partition
    pixels = [read_pixels(store, evaluated.pixels) for evaluated in partitions]
    rows = [row for evaluated in partitions for row in read_rows(store, evaluated.images)]
    tables = reduce(add, (counts.tables for counts in pixels), PixelTables.empty())
    gathered = Gathered(
        category=partition.category,
        model_version=partition.model_version,
        partitions=tuple(partitions),
        rows=tuple(rows),
        tables=tables,
        recalls=tuple(counts.recall for counts in pixels if counts.recall is not None),
        aupimo=_aupimo(store, partitions, tables, made),
        card=_card(store, partition.category, partition.model_version),
        threshold=threshold,
    )
    picked = rows_to_show(gathered.judged, most)
    made.drawn.update(stated(images, (row["image_key"] for chosen in picked for row in chosen)))
    misses, alarms, borderline = (tuple(scored_images(store, images, chosen, gathered.card)) for chosen in picked)
    return replace(category_figures(gathered), misses=misses, false_alarms=alarms, borderline=borderline)


def _aupimo(
    store: Store, partitions: Sequence[EvaluatedPartition], tables: PixelTables, made: _Made
) -> NDArray[np.float64]:
    """AUPIMO of each masked defect [k], also written beside its partition's counts. It needs the normal images of all
    days, so it follows all counts."""
    shared, values = Aupimo.of(tables), []
    for evaluated in partitions:
        if evaluated.masked_defects:
            rows = [
                {"image_key": name, "aupimo": shared.of_defects(bins)}
                for name, bins in read_defects(store, evaluated.defects)
            ]
            key = evaluated.defects.replace("defects.parquet", "aupimo.parquet")
            made.files[key] = write_rows(store, key, rows, AUPIMO)
            values += [row["aupimo"] for row in rows]
    return np.array(values, np.float64)


def _card(store: Store, category: str, version: str) -> ModelCard | None:
    try:
        return models.read_card(store, category, version)
    except KeyNotFound:
        return None


def _sealed_at(store: Store, evaluated: EvaluatedPartition) -> datetime:
    where = evaluated.partition
    seal = seals.read_seal(store, where)
    if seal is None:
        raise KeyNotFound(
            f"The seal of {where.category} of {where.run_date} was removed during the evaluation, so its figures "
            "are invalid. Evaluate again."
        )
    return seal.sealed_at


def _write(
    store: Store, contents: EvaluationContents, report: EvaluationReport
) -> tuple[WrittenEvaluation, dict[str, str]]:
    """(result, the files' digests). The page is written last, so that its figures exist before it."""
    prefix = evaluation_prefix(contents.first_day, contents.last_day) + contents.folder
    table = pa.Table.from_pylist(figure_rows(report), schema=FIGURES)
    tree = json.dumps(figure_tree(report), indent=2, sort_keys=True, allow_nan=False) + "\n"
    page = render_evaluation_report(report)
    figures = {f"{prefix}figures.parquet": parquet.to_bytes(table), f"{prefix}figures.json": tree.encode("utf-8")}
    for key, data in figures.items():
        store.write(key, data)
    publish_report(store, EVALUATION, contents.last_day, f"{prefix}evaluation.html", page)
    files = {**figures, f"{prefix}evaluation.html": page.encode("utf-8")}
    written = WrittenEvaluation(
        report=f"{prefix}evaluation.html",
        figures_json=f"{prefix}figures.json",
        figures_parquet=f"{prefix}figures.parquet",
        markdown=render_evaluation_markdown(report),
        categories=tuple(
            CategoryFigures(
                of.category,
                of.model_version,
                of.counts.normal,
                of.counts.anomalous,
                of.measures,
                in_short(of.recommended, of.category) if of.recommended and of.in_mean else None,
            )
            for of in report.categories
        ),
        means=report.means,
    )
    return written, {key: file_digest(key, data) for key, data in files.items()}


def rows_to_show(rows: Sequence[dict[str, Any]], most: int) -> tuple[list[dict[str, Any]], ...]:
    """(worst misses, worst false alarms, borderline) of judged rows, at most `most` each."""

    def margin(row: dict[str, Any]) -> float:
        return float(row["score"]) - float(row["threshold"])

    misses = [row for row in rows if row["label"] == "anomalous" and margin(row) <= 0]
    alarms = [row for row in rows if row["label"] == "normal" and margin(row) > 0]
    right = [row for row in rows if (row["label"] == "anomalous") == (margin(row) > 0)]
    return (
        sorted(misses, key=margin)[:most],
        sorted(alarms, key=margin, reverse=True)[:most],
        sorted(right, key=lambda row: abs(margin(row)))[:most],
    )
