"""The verdict of a comparison: judged contenders, the report, and the records."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.comparison.contender import Contender, Cost
from rd_core.comparison.differences import Differences
from rd_core.comparison.figures import PixelFigures
from rd_core.comparison.judged_images import JudgedImage
from rd_core.comparison.judgement import Judgement, judge
from rd_core.detectors.registry import METHODS, settings_of
from storage import layout
from storage.comparisons import (
    ComparisonOutcome,
    ComparisonPlan,
    ContenderRecord,
    PlannedContender,
    read_contender,
    read_plan,
    read_scores,
    write_outcome,
)
from storage.filesystem import open_store
from storage.stores import parquet
from tasks.comparison.fit_contender import contender_name
from tasks.worker.faults import ON_STORAGE_FAULT
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
class MethodRow:
    """A method's main figures on the half that reports, and its cost; None where they cannot be computed."""

    method: str
    auroc: float | None
    average_precision: float | None
    aupro: float | None
    recall: float | None
    false_alarms: float | None
    undecided: float | None
    training_seconds: float
    images_per_second: float
    peak_memory: int
    model_bytes: int


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
    """judged images"""
    anomalous: int
    rows: tuple[MethodRow, ...]
    failed: tuple[FailedContender, ...]
    notes: tuple[str, ...]
    """methods left out, and what is to be known of the images"""
    report: str
    """key of the HTML"""
    markdown: str
    """the report in short"""


@task(name="write-comparison", task_run_name="report", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def write_comparison(store_uri: str, order: ReportOrder, *, run_id: str, made_at: datetime) -> ComparedMethods:
    """Judge what the contenders left, and write report and records; a repeated call writes the same."""
    prepare_worker_process()
    store = open_store(store_uri)
    plan = read_plan(store, order.plan)
    without = {(one.method, one.seed) for one in order.failed}
    finished = [
        (one, record)
        for one in plan.contenders
        if (one.method, one.seed) not in without
        and (record := read_contender(store, plan.category, one.digest)) is not None
    ]
    tables = [read_scores(store, record) for _, record in finished]
    contenders = [_contender(*pair, table) for pair, table in zip(finished, tables, strict=True)]
    judgement = judge(judged_images(plan), contenders)
    prefix = layout.comparisons_prefix(plan.category, plan.id)
    store.write(f"{prefix}scores.parquet", parquet.to_bytes(pa.concat_tables(tables)))
    notes = (*(f"left out: {why}" for why in plan.left_out.values()), *plan.notes)
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
        figures={},
        report=f"{prefix}comparison.html",
        run_id=run_id,
        made_at=made_at,
    )
    write_outcome(store, outcome)
    get_run_logger().info(
        "methods compared comparison=%s category=%s method=%s: %s",
        plan.id,
        plan.category,
        choice.method,
        choice.sentence,
    )
    anomalous = sum(image.is_anomalous for image in plan.judged)
    return ComparedMethods(
        plan.category,
        plan.id,
        choice.method,
        choice.seed,
        choice.sentence,
        plan.alpha,
        plan.drawn,
        len(plan.judged) - anomalous,
        anomalous,
        tuple(_rows(judgement)),
        order.failed,
        notes,
        outcome.report,
        choice.sentence,
    )


def judged_images(plan: ComparisonPlan) -> list[JudgedImage]:
    """The judged images of a plan, in order."""
    return [
        JudgedImage(one.name, one.part, one.is_anomalous, one.kind, one.defect_share, one.donor is not None)
        for one in plan.judged
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


def _rows(judgement: Judgement) -> list[MethodRow]:
    """Best first."""

    def finite(value: float | None) -> float | None:
        return None if value is None or np.isnan(value) else float(value)

    def ranked(found: Differences | None, method: str) -> float | None:
        return None if found is None else finite(found.figures[method].value)

    return [
        MethodRow(
            one.method,
            ranked(judgement.auroc, one.method),
            ranked(judgement.average_precision, one.method),
            None if one.pixels is None else one.pixels.aupro_30,
            finite(one.decisions.recall.share.value),
            finite(one.decisions.false_alarms.share.value),
            finite(one.decisions.undecided.share.value),
            one.cost.training_seconds,
            one.cost.images_per_second,
            one.cost.peak_memory,
            one.cost.model_bytes,
        )
        for one in judgement.methods
    ]
