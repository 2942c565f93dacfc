"""The verdict of a comparison: judged contenders, the report, and the records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.comparison.contender import Contender, Cost
from rd_core.comparison.disagreement import most_disagreed
from rd_core.comparison.figures import PixelFigures
from rd_core.comparison.judgement import judge
from rd_core.detectors.registry import METHODS, settings_of
from rd_core.pictures.image_view import ImageView
from reports.comparison.export import figure_rows, figure_tree
from reports.comparison.markdown import render_comparison_markdown
from reports.comparison.report import render_comparison_report
from reports.comparison.results import ComparedMethod, ComparisonReport
from storage import layout
from storage.comparisons.contender import ContenderRecord, read_contender, read_maps, read_scores
from storage.comparisons.outcome import FIGURES, ComparisonOutcome, write_outcome
from storage.comparisons.plan import ComparisonPlan, PlannedContender, read_plan
from storage.filesystem import Store, open_store
from storage.stores import parquet
from tasks.comparison.comparison_report import ReportedComparison, ShownImage, comparison_report
from tasks.comparison.fit_contender import contender_name
from tasks.comparison.judged_pictures import ImagesChanged, read_judged
from tasks.comparison.plan_comparison import known_images
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.preprocessing import ImageFormat
from tasks.worker.software import software
from tasks.worker.worker_process import prepare_worker_process


@dataclass(frozen=True)
class FailedContender:
    """A contender without scores."""

    method: str
    seed: int
    why: str

    def __str__(self) -> str:
        return f"{contender_name(self.method, self.seed)}: {self.why}"


@dataclass(frozen=True)
class ReportOrder:
    """What a report is of."""

    plan: str
    """key"""
    failed: tuple[FailedContender, ...]
    review_url: str | None


@dataclass(frozen=True)
class ComparedMethods:
    """A comparison in short."""

    category: str
    id: str
    method: str | None
    """the named one"""
    seed: int | None
    sentence: str
    alpha: float
    drawn: bool
    normal: int
    """images that report"""
    anomalous: int
    methods: tuple[ComparedMethod, ...]
    """best first"""
    failed: tuple[FailedContender, ...]
    notes: tuple[str, ...]
    """methods left out, and what to know about the images"""
    report: str
    """key of the HTML"""
    markdown: str
    """the report in short, for people"""


@task(name="write-comparison", task_run_name="report", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def write_comparison(
    store_uri: str, images_uri: str, order: ReportOrder, *, run_id: str, made_at: datetime
) -> ComparedMethods:
    """Judge what the contenders left, and write report, tables and outcome; a repeated call writes the same but for
    the time."""
    prepare_worker_process()
    store, images = open_store(store_uri), open_store(images_uri, read_only=True)
    plan = read_plan(store, order.plan)
    finished = _finished(store, plan, order.failed)
    tables = [read_scores(store, record) for _, record in finished]
    contenders = [_contender(*pair, table) for pair, table in zip(finished, tables, strict=True)]
    judgement = judge(known_images(plan.judged), contenders)
    typical = {record.method: record for _, record in finished if record.seed == judgement.typical[record.method]}
    shown = _shown(store, images, plan, typical, partial(most_disagreed, judgement, contenders))
    thresholds = {method: record.pixel_threshold for method, record in typical.items()}
    about = _about(plan, order, store_uri, made_at)
    report = comparison_report(judgement, contenders, shown, thresholds, about)
    prefix = layout.comparisons_prefix(plan.category, plan.id)
    store.write(f"{prefix}scores.parquet", parquet.to_bytes(pa.concat_tables(tables)))
    store.write(f"{prefix}figures.parquet", parquet.to_bytes(pa.Table.from_pylist(figure_rows(report), FIGURES)))
    store.write(f"{prefix}comparison.html", render_comparison_report(report).encode())
    choice = judgement.choice
    outcome = ComparisonOutcome(
        category=plan.category,
        id=plan.id,
        method=choice.method,
        seed=choice.seed,
        sentence=choice.sentence,
        beyond_chance=choice.beyond_chance,
        drawn=plan.drawn,
        every_method={one.method for one in plan.contenders} | plan.left_out.keys() == METHODS.keys(),
        contenders=tuple(one.digest for one, _ in finished),
        failed=tuple(map(str, order.failed)),
        figures=figure_tree(report),
        report=f"{prefix}comparison.html",
        run_id=run_id,
        made_at=made_at,
    )
    write_outcome(store, outcome)
    get_run_logger().info(
        "methods compared comparison=%s category=%s method=%s: %s",
        plan.id, plan.category, choice.method, choice.sentence,
    )  # fmt: skip
    return _in_short(outcome, report, order.failed)


def _about(plan: ComparisonPlan, order: ReportOrder, store_uri: str, made_at: datetime) -> ReportedComparison:
    return ReportedComparison(
        plan.category,
        plan.id,
        store_uri,
        made_at,
        plan.alpha,
        failed=tuple((one.method, one.seed, one.why) for one in order.failed),
        notes=(*(f"{method} is left out: {why}" for method, why in plan.left_out.items()), *plan.notes),
        review_url=order.review_url,
        software=software(),
    )


def _finished(
    store: Store, plan: ComparisonPlan, failed: Sequence[FailedContender]
) -> list[tuple[PlannedContender, ContenderRecord]]:
    without = {(one.method, one.seed) for one in failed}
    return [
        (one, record)
        for one in plan.contenders
        if (one.method, one.seed) not in without
        and (record := read_contender(store, plan.category, one.digest)) is not None
    ]


def _contender(planned: PlannedContender, record: ContenderRecord, scores: pa.Table) -> Contender:
    return Contender(
        record.method,
        record.seed,
        np.asarray(scores["score"], np.float64),
        record.threshold,
        (record.low, record.high),
        Cost(record.training_seconds, record.images_per_second, record.peak_memory, record.model_bytes),
        None if record.pixels is None else PixelFigures(**record.pixels),
        settings_of(planned.method, planned.settings).learns_from_drawn,
    )


def _shown(
    store: Store,
    images: Store,
    plan: ComparisonPlan,
    typical: Mapping[str, ContenderRecord],
    most_of: Callable[..., tuple[int, ...]],
) -> list[ShownImage]:
    """The images that the report shows, among those whose maps are kept. most_of: `most_disagreed` of the judgement;
    an image that changed since has no picture."""
    maps = {method: read_maps(store, record) for method, record in typical.items()}
    places = {method: {int(index): row for row, index in enumerate(kept.index)} for method, kept in maps.items()}
    among = np.array([all(index in of for of in places.values()) for index in range(len(plan.judged))], bool)
    image_format = ImageFormat(ImageView.from_dict(plan.view), plan.white_level, plan.max_pixels, plan.black_level)
    shown = []
    for index in most_of(among=among):
        views = {method: kept.maps[places[method][index]].astype(np.float32) for method, kept in maps.items()}
        try:
            seen = read_judged(store, images, image_format, plan.judged[index])
        except ImagesChanged:
            shown.append(ShownImage(index, None, views))
            continue
        ignored = None if seen.counted is None else ~seen.counted
        shown.append(ShownImage(index, seen.picture.pixels, views, seen.defect, ignored=ignored))
    return shown


def _in_short(
    outcome: ComparisonOutcome, report: ComparisonReport, failed: tuple[FailedContender, ...]
) -> ComparedMethods:
    return ComparedMethods(
        outcome.category,
        outcome.id,
        outcome.method,
        outcome.seed,
        outcome.sentence,
        report.alpha,
        outcome.drawn,
        report.counts.normal,
        report.counts.anomalous,
        report.methods,
        failed,
        report.notes,
        outcome.report,
        render_comparison_markdown(report),
    )
