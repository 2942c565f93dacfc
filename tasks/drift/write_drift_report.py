"""Writing the drift report of a window: HTML for people, JSON and Parquet with the same figures."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from rd_core.drift.assessment import DriftAssessment
from rd_core.drift.control_charts import Chart
from rd_core.drift.distances import Distance
from rd_core.drift.settings import DriftSettings
from reports.drift.markdown import render_drift_markdown
from reports.drift.report import render_drift_report
from reports.drift.verdicts import (
    AlarmFigures,
    CategorySection,
    DriftFigure,
    DriftReport,
    GoldenFigures,
    ModelSection,
    NewThreshold,
)
from reports.drift.words import worst_action
from storage.filesystem import Store, open_store
from storage.layout import drift_prefix
from storage.stores import parquet
from tasks.drift.assess_drift import ModelDrift
from tasks.drift.newest_alarms import pictured_alarms
from tasks.reporting.published_reports import DRIFT, publish_report
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.software import software

SCHEMA_VERSION = 1
_KINDS = {
    "name": pa.string(),
    "outside": pa.bool_(),
    "images": pa.int64(),
    "first_day": pa.date32(),
    "last_day": pa.date32(),
}
SCHEMA = pa.schema(
    [
        ("category", pa.string()),
        ("model_version", pa.string()),
        ("verdict", pa.string()),
        *((field.name, _KINDS.get(field.name, pa.float64())) for field in fields(DriftFigure)),
    ],
    metadata={"schema_version": str(SCHEMA_VERSION)},
)
"""of drift.parquet: one row for each figure"""


@dataclass(frozen=True)
class DriftFindings:
    """The findings of a run."""

    first_day: date
    last_day: date
    chosen: tuple[str, ...]
    """requested categories; empty for all"""
    models: tuple[ModelDrift, ...]
    discoveries: Mapping[str, bool]
    """by `name_of`: whether its distribution's change is significant among all tests"""
    failed: tuple[tuple[str, str], ...]
    settings: DriftSettings


@dataclass(frozen=True)
class WrittenDriftReport:
    """The report's keys, and the report as Markdown."""

    key: str
    """of the HTML; drift.json and drift.parquet are beside it"""
    verdict: str | None
    """the most severe"""
    markdown: str


def name_of(drift: ModelDrift) -> str:
    """Name of a model version, unique among all categories."""
    return f"{drift.category} {drift.model_version}"


@task(name="write-drift-report", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def write_drift_report(
    store_uri: str,
    images_uri: str,
    findings: DriftFindings,
    *,
    run_id: str,
    made_at: datetime,
    review_url: str | None = None,
) -> WrittenDriftReport:
    """Write drift.html, drift.json and drift.parquet; an earlier report of the same window is replaced."""
    store, images = open_store(store_uri), open_store(images_uri, read_only=True)
    report = DriftReport(
        first_day=findings.first_day,
        last_day=findings.last_day,
        run_id=run_id,
        store_uri=store_uri,
        made_at=made_at,
        categories=tuple(_sections(store, images, findings)),
        failed=findings.failed,
        run_length_days=findings.settings.run_length_days,
        software=software(),
        review_url=review_url,
    )
    prefix = drift_prefix(findings.first_day, findings.last_day, findings.chosen)
    store.write(f"{prefix}drift.parquet", parquet.to_bytes(_table(report)))
    store.write(f"{prefix}drift.json", (json.dumps(_document(report, findings), indent=2) + "\n").encode())
    publish_report(store, DRIFT, findings.last_day, f"{prefix}drift.html", render_drift_report(report))
    return WrittenDriftReport(f"{prefix}drift.html", worst_action(report), render_drift_markdown(report))


def _sections(store: Store, images: Store, findings: DriftFindings) -> Iterator[CategorySection]:
    """Versions in the order of their days, those fully rescored by a later version first. The last version's newest
    alarms are shown if there is something to do."""
    for category in sorted({drift.category for drift in findings.models}):
        models = [drift for drift in findings.models if drift.category == category]
        models.sort(key=lambda drift: (drift.last_day or "", drift.first_day or "", drift.model_version))
        *before, current = (_section(drift, findings.discoveries.get(name_of(drift))) for drift in models)
        if current.drifts:
            current = replace(current, newest_alarms=pictured_alarms(store, images, models[-1]))
        yield CategorySection(category, (*before, current))


def _section(drift: ModelDrift, stands: bool | None) -> ModelSection:
    assessment = drift.assessment
    section = ModelSection(
        model_version=drift.model_version,
        method=drift.method,
        first_day=_day(drift.first_day),
        last_day=_day(drift.last_day),
        images=drift.images,
        unscored=drift.unreadable + drift.rejected,
        threshold=drift.threshold,
        calibration_images=drift.calibration_images,
        action=drift.action,
        message=drift.message,
    )
    return _with_assessment(section, drift, assessment, stands) if assessment else section


def _with_assessment(
    section: ModelSection, drift: ModelDrift, assessment: DriftAssessment, stands: bool | None
) -> ModelSection:
    new, golden, rate = assessment.recalibration, assessment.golden, assessment.alarm_rate
    replay = None
    if golden:
        replay = GoldenFigures(golden.images, golden.changed, golden.largest_change, golden.tolerance)
    return replace(
        section,
        reasons=tuple(dict.fromkeys(reason.sentence for reason in assessment.verdict.reasons)),
        causes=tuple(cause.name for cause in assessment.causes),
        changed_since=assessment.changed_since,
        alarms=AlarmFigures(**{f.name: getattr(rate, f.name) for f in fields(AlarmFigures)}),
        p_value=assessment.p_value,
        stands=stands,
        new_threshold=NewThreshold(new.threshold.value, new.to_normal, new.to_anomalous) if new else None,
        golden=replay,
        figures=tuple(_figures(drift, assessment)),
    )


def _figures(drift: ModelDrift, assessment: DriftAssessment) -> Iterator[DriftFigure]:
    for rate in assessment.alarm_rate_by_day:
        day, n = date.fromisoformat(rate.first_day), rate.images
        low, high = rate.in_control_low / n, rate.in_control_high / n
        outside = not rate.in_control_low <= rate.alarms <= rate.in_control_high
        yield DriftFigure("alarm_rate", day, day, rate.rate, low, high, rate.low, rate.high, n, outside)
    for chart in assessment.charts:
        yield from _of_chart(chart)
    window = date.fromisoformat(assessment.first_day), date.fromisoformat(assessment.last_day)
    for distance in assessment.distances:
        yield _of_distance(distance, *window, assessment.images)
    for median in drift.daily_medians:
        day = date.fromisoformat(median.day)
        band = median.band_low, median.band_high
        interval = median.low, median.high
        yield DriftFigure(median.name, day, day, median.median, *band, *interval, median.images, median.outside)


def _of_chart(chart: Chart) -> Iterator[DriftFigure]:
    low = -chart.limit if chart.two_sided else None
    for iso, value, signalled in zip(chart.days, chart.values, chart.signalled, strict=True):
        day = date.fromisoformat(iso)
        yield DriftFigure(chart.name, day, day, value, low, chart.limit, None, None, None, signalled)


def _of_distance(distance: Distance, first: date, last: date, images: int) -> DriftFigure:
    """An unsigned distance below the range is no drift."""
    signed = distance.name.startswith("quantile")
    outside = distance.value > distance.null_high or (signed and distance.value < distance.null_low)
    band = distance.null_low, distance.null_high
    return DriftFigure(distance.name, first, last, distance.value, *band, None, None, images, outside)


def _table(report: DriftReport) -> pa.Table:
    rows = [
        {
            "category": section.category,
            "model_version": model.model_version,
            "verdict": model.action,
            **asdict(figure),
        }
        for section in report.categories
        for model in section.models
        for figure in model.figures
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _document(report: DriftReport, findings: DriftFindings) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "first_day": report.first_day.isoformat(),
        "last_day": report.last_day.isoformat(),
        "made_at": report.made_at.isoformat(),
        "run_id": report.run_id,
        "verdict": worst_action(report),
        "settings": asdict(findings.settings),
        "software": report.software,
        "categories": [
            {
                "category": section.category,
                "verdict": section.current.action,
                "model_version": section.current.model_version,
                "models": [_of_model(findings, section.category, model) for model in section.models],
            }
            for section in report.categories
        ],
        "failed": [{"name": name, "message": why} for name, why in report.failed],
    }


def _of_model(findings: DriftFindings, category: str, model: ModelSection) -> dict[str, Any]:
    drift = next(d for d in findings.models if (d.category, d.model_version) == (category, model.model_version))
    plain = asdict(drift)
    if plain["assessment"]:
        del plain["assessment"]["settings"]  # the same for all, so it stands once at the top
    return {**plain, "verdict": drift.action, "discovery": model.stands}


def _day(iso: str | None) -> date | None:
    return None if iso is None else date.fromisoformat(iso)
