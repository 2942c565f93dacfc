"""The run report as one self-contained HTML file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reports import number_format
from reports.card import Card, card_of, legend_ticks
from reports.heat_scale import Tick, gradient_css
from reports.histogram import Group, histogram
from reports.page import page
from reports.plain_text import shown
from reports.promise import promise_in_words
from reports.review_address import list_address
from reports.run import advice
from reports.run.outcome import CategoryRun, RunReport
from reports.thumbnails import Thumbnail, thumbnails

_MOST_PICTURE_BYTES = 4_000_000
"""of all data URIs of a report together, so that it stays below 5 MB"""
_MOST_UNREADABLE_SHOWN = 200


@dataclass(frozen=True)
class Figure:
    """One number of a report and its meaning."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class _Section:
    """One category, ready to draw."""

    run: CategoryRun
    anchor: str
    tone: str
    steps: list[str]
    figures: list[Figure]
    histogram: Markup
    first: list[Card]
    cards: list[Card]
    ticks: list[Tick]
    review: str | None
    """address of the list of images to look at first; None without a review page"""
    unreadable: list[tuple[str, str]]
    unreadable_left_out: int
    stages: list[tuple[str, float, float]]
    """stage, seconds, share of all seconds"""


def render_run_report(report: RunReport) -> str:
    """The report as one HTML document with style, drawings and images inside, without script or outside request.

    Images are shrunk until it is below 5 MB. Texts from outside are escaped, credentials in them removed.
    """
    pictured = [image for run in report.categories for image in (*run.first, *run.worst)]
    drawn = iter(thumbnails(pictured, _MOST_PICTURE_BYTES))
    sections = [_section(report, run, number, drawn) for number, run in enumerate(report.categories, start=1)]
    return page(
        "run_report.html",
        report=report,
        sections=sections,
        outcome=advice.outcome_in_words(report),
        outcome_tone={"completed": "good", "failed": "bad", "cameras silent": "bad", "nothing to do": "plain"}.get(
            report.outcome, "warn"
        ),
        totals=totals(report),
        seconds=(report.finished_at - report.started_at).total_seconds(),
        colour_scale=Markup(gradient_css()),
    )


def totals(report: RunReport) -> dict[str, Any]:
    """Sums over the categories: images, ok, anomalous, without_score, share (of alarms, or None)."""
    ok = sum(run.ok for run in report.categories)
    anomalous = sum(run.anomalous for run in report.categories)
    return {
        "images": sum(run.images for run in report.categories),
        "ok": ok,
        "anomalous": anomalous,
        "without_score": sum(run.without_score for run in report.categories),
        "share": anomalous / ok if ok else None,
    }


def category_figures(run: CategoryRun) -> list[Figure]:
    """A category's numbers, each with its meaning."""
    return list(_figures(run))


def tone(run: CategoryRun) -> str:
    """good | warn | bad | plain, for the state's colour."""
    if run.state in ("failed", "no champion", "partly sealed", "silent camera"):
        return "bad"
    if run.state == "sealed":
        return "warn" if run.unreadable + run.rejected else "good"
    return "plain"


def _section(report: RunReport, run: CategoryRun, number: int, drawn: Iterator[Thumbnail | None]) -> _Section:
    """`drawn`: thumbnails of this category's images, followed by those of later categories."""
    cards = [card_of(image, next(drawn), report.review_url) for image in (*run.first, *run.worst)]
    seconds = sum(run.seconds_by_stage.values())
    listed = list(run.unreadable_images[:_MOST_UNREADABLE_SHOWN])
    return _Section(
        run=run,
        anchor=f"category-{number}",
        tone=tone(run),
        steps=advice.next_steps(run),
        figures=category_figures(run),
        histogram=histogram(
            Group("image", run.scores),
            Group("held-out good image", run.calibration_scores, "normals"),
            run.threshold,
            shown(f"Scores of {run.category} in this run"),
        ),
        first=cards[: len(run.first)],
        cards=cards[len(run.first) :],
        review=list_address(report.review_url, day=report.run_date, category=run.category)
        if report.review_url
        else None,
        ticks=legend_ticks(cards),
        unreadable=listed,
        unreadable_left_out=max(0, run.unreadable + run.rejected - len(listed)),
        stages=[(name, took, took / seconds if seconds else 0.0) for name, took in run.seconds_by_stage.items()],
    )


def _figures(run: CategoryRun) -> Iterator[Figure]:
    yield Figure("Images", number_format.count(run.images), "files of this category on that day, readable or not")
    yield Figure("Scored", number_format.count(run.ok), "decoded and judged by the model")
    missing = run.without_score
    yield Figure(
        "Without a score",
        number_format.count(missing),
        _why_without_score(run) if missing else "every image was judged",
    )
    yield Figure("Anomalous", number_format.count(run.anomalous), "score above the threshold: parts to look at")
    if run.to_review:
        words = "score within the 95\u202f% interval of the threshold: look at these first"
        yield Figure("To review", number_format.count(run.to_review), words)
    share = run.alarm_share
    if share is not None:
        yield Figure(
            "Alarm rate",
            number_format.percent(share),
            "of the scored images"
            + (f"; good parts alone would give about {number_format.percent(run.alpha)}" if run.alpha else ""),
        )
    if run.threshold is not None:
        normals = number_format.counted(len(run.calibration_scores), "held-out good image")
        words = promise_in_words(run.promise) if run.promise else f"from the scores of {normals}"
        yield Figure("Threshold", number_format.score(run.threshold), words)
    if run.blank:
        yield Figure("Blank", number_format.count(run.blank), "one value throughout, such as black")
    if run.duplicates:
        yield Figure("Duplicates", number_format.count(run.duplicates), "same bytes as another image of the day")


def _why_without_score(run: CategoryRun) -> str:
    reasons = {
        "unreadable": run.unreadable,
        "rejected": run.rejected,
        "not reached by this run": run.images - run.ok - run.unreadable - run.rejected,
    }
    return ", ".join(f"{number_format.count(n)} {why}" for why, n in reasons.items() if n > 0) + ": not judged"
