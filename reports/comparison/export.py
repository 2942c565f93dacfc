"""The figures of a comparison for machines: as table rows and as a JSON tree."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from reports.comparison.results import ComparedMethod, ComparisonReport, Figure, Ranked, Share

SCHEMA_VERSION = 1


def figure_rows(report: ComparisonReport) -> list[dict[str, Any]]:
    """One row for each figure: category, comparison, half, method, figure, of, value, low, high, n, p_value, drawn.

    half: "choosing" or "reporting". `of`: the figure's kind of defect, range of sizes, or the method that is compared
    with this one ("..._ahead": its figure - this one's); else None. n: images of a share. drawn: whether defects are
    drawn.
    """
    common = {"category": report.category, "comparison": report.comparison_id, "drawn": report.counts.drawn > 0}
    return [{**common, "method": method.method, **row} for method in report.methods for row in _rows(method, report)]


def figure_tree(report: ComparisonReport) -> dict[str, Any]:
    """Verdict, figures and costs as JSON values. Without time, so that the same contenders give the same tree."""
    return {
        "schema_version": SCHEMA_VERSION,
        "category": report.category,
        "comparison": report.comparison_id,
        "alpha": report.alpha,
        "named": report.named,
        "beyond_chance": report.beyond_chance,
        "sentence": report.sentence,
        "reference": report.reference,
        "halves": report.halves,
        "images": asdict(report.counts),
        "methods": [asdict(method) for method in report.methods],
        "disagreed": [
            {"image_key": one.image_key, "drawn": one.drawn, "ranks": {view.method: view.rank for view in one.views}}
            for one in report.disagreed
        ],
        "failed": [{"method": method, "seed": seed, "why": why} for method, seed, why in report.failed],
        "notes": list(report.notes),
    }


def _rows(method: ComparedMethod, report: ComparisonReport) -> Iterator[dict[str, Any]]:
    best = next((one.method for one in report.methods if one.choosing and one.choosing.ahead is None), None)
    yield from _ranked("choosing", "image_auroc", method.choosing, best)
    yield from _ranked("reporting", "image_auroc", method.auroc, report.reference)
    yield from _ranked("reporting", "image_average_precision", method.average_precision, report.reference)
    for name in ("pixel_auroc", "aupro_30", "aupro_05"):
        yield _row("reporting", name, Figure(getattr(method, name)))
    shares = {"recall": method.recall, "false_alarm_rate": method.false_alarms, "undecided": method.undecided}
    for name, share in shares.items():
        yield _share(name, share, None)
    for name, groups in (("recall_by_kind", method.by_kind), ("recall_by_size", method.by_size)):
        for share in groups:
            yield _share(name, share, share.name)
    for name in ("training_seconds", "images_per_second", "peak_memory", "model_bytes"):
        yield _row("reporting", name, Figure(float(getattr(method, name))))


def _ranked(half: str, name: str, ranked: Ranked | None, reference: str | None) -> Iterator[dict[str, Any]]:
    if ranked is not None:
        yield _row(half, name, ranked.figure)
        if ranked.ahead is not None:
            yield _row(half, f"{name}_ahead", ranked.ahead, of=reference, p_value=ranked.p_value)


def _share(name: str, share: Share, of: str | None) -> dict[str, Any]:
    return _row("reporting", name, share.figure, of=of, n=share.total)


def _row(half: str, name: str, figure: Figure, **more: Any) -> dict[str, Any]:
    return {"half": half, "figure": name, "of": None, "n": None, "p_value": None, **asdict(figure), **more}
