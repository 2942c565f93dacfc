"""The figures of an evaluation for machines: as table rows and as a JSON tree."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from reports.evaluation.measures import EvaluatedCategory, EvaluationReport, Measure, RecommendedThreshold, ShareRow

SCHEMA_VERSION = 1


def figure_rows(report: EvaluationReport) -> list[dict[str, Any]]:
    """One row for each figure: first_day, last_day, category, model_version, figure, of, value, low, high, n, cases,
    why.

    `of` is the figure's kind of defect or range of sizes, else None. The plant's means have no category. An undefined
    figure has no value but a `why`.
    """
    days = {"first_day": report.first_day, "last_day": report.last_day}
    rows = [
        {**days, "category": category.category, "model_version": category.model_version, **row}
        for category in report.categories
        for row in _rows(category)
    ]
    means = [_row(mean) for mean in report.means]
    return rows + [{**days, "category": None, "model_version": None, **row} for row in means]


def figure_tree(report: EvaluationReport) -> dict[str, Any]:
    """Figures and counts as JSON values, one entry for each category and model version.

    Without time and run id, so that the same evaluation gives the same tree.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "first_day": report.first_day.isoformat(),
        "last_day": report.last_day.isoformat(),
        "means": {mean.name: _measure(mean) for mean in report.means},
        "categories": [_entry(category) for category in report.categories],
        "without_evaluation_labels": list(report.unlabelled),
        "failed": [{"partition": what, "why": why} for what, why in report.failed],
        "days_not_inspected": [day.isoformat() for day in report.missing_days],
    }


def _entry(evaluated: EvaluatedCategory) -> dict[str, Any]:
    return {
        "category": evaluated.category,
        "model_version": evaluated.model_version,
        "method": evaluated.method,
        "days": [day.isoformat() for day in evaluated.days],
        "in_mean": evaluated.in_mean,
        "threshold": evaluated.threshold,
        "alpha": evaluated.alpha,
        "promise": asdict(evaluated.promise) if evaluated.promise else None,
        "recommended": _recommended(evaluated.recommended),
        "counts": asdict(evaluated.counts),
        "figures": {measure.name: _measure(measure) for measure in evaluated.measures},
        "recall_by_kind": [asdict(row) for row in evaluated.by_kind],
        "defects_found_by_size": [asdict(row) for row in evaluated.by_size],
        "problems": [{"image_key": key, "what": what} for key, what in evaluated.problems],
        "problems_left_out": evaluated.problems_left_out,
        "notes": list(evaluated.notes),
    }


def _rows(evaluated: EvaluatedCategory) -> Iterator[dict[str, Any]]:
    for measure in evaluated.measures:
        yield _row(measure)
    for name, cases, rows in (
        ("recall_by_kind", "anomalous images", evaluated.by_kind),
        ("defects_found_by_size", "defects", evaluated.by_size),
    ):
        for row in rows:
            yield _share_row(name, cases, row)
    if evaluated.recommended is not None:
        yield from _recommended_rows(evaluated.recommended)


def _recommended(recommended: RecommendedThreshold | None) -> dict[str, Any] | None:
    if recommended is None:
        return None
    entry = asdict(recommended)
    return {**entry, "figures": {figure.name: _measure(figure) for figure in recommended.figures}}


def _recommended_rows(recommended: RecommendedThreshold) -> Iterator[dict[str, Any]]:
    """`recommended_alpha`, and if there is one, its threshold with the 95 % interval and what it does."""
    yield _row(Measure("recommended_alpha", recommended.alpha, why=recommended.why or recommended.caution))
    if recommended.alpha is not None:
        ends = recommended.low, recommended.high
        for figure in (Measure("threshold", recommended.threshold, *ends), *recommended.figures):
            yield _row(replace(figure, name=f"recommended_{figure.name}"))


def _row(measure: Measure) -> dict[str, Any]:
    return {"figure": measure.name, "of": None, **_measure(measure)}


def _measure(measure: Measure) -> dict[str, Any]:
    return {name: value for name, value in asdict(measure).items() if name != "name"}


def _share_row(name: str, cases: str, row: ShareRow) -> dict[str, Any]:
    return {
        "figure": name, "of": row.name, "value": row.value, "low": row.low, "high": row.high, "n": row.total,
        "cases": cases, "why": None if row.total else "no such case is labelled",
    }  # fmt: skip
