"""The drift report as one self-contained HTML file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports import number_format
from reports.card import Card, card_of, legend_ticks
from reports.drift import words as drift_words
from reports.drift.charts import chart_by_day, chart_of_shifts
from reports.drift.verdicts import (
    ACTIONS,
    HOLD,
    CategorySection,
    DriftFigure,
    DriftReport,
    GoldenFigures,
    ModelSection,
)
from reports.drift.words import BY_DAY, EFFECT_SIZES, TONES, WINDOW_FIGURES
from reports.heat_scale import Tick, gradient_css
from reports.page import page
from reports.plain_text import shown
from reports.scored_image import ScoredImage
from reports.thumbnails import EMPTY, Thumbnail, thumbnails

MOST_BYTES = 5_000_000
_MOST_PICTURE_BYTES = 3_000_000
"""of all data URIs together"""
_EVERY_DAY, _DAYS_OUTSIDE, _DRIFTING_ALONE, _NOTHING = range(4)
"""levels of detail; the first that keeps the report below MOST_BYTES is drawn"""


@dataclass(frozen=True)
class _Drawing:
    """One figure, ready to show."""

    title: str
    svg: Markup
    words: str
    tone: str


@dataclass(frozen=True)
class _Section:
    """One category, ready to show."""

    category: str
    anchor: str
    current: ModelSection
    tone: str
    steps: list[str]
    changes: list[str]
    facts: list[tuple[str, str, str]]
    """name, value, meaning"""
    drawings: list[_Drawing]
    effects: list[tuple[str, DriftFigure]]
    cards: list[tuple[str, Card]]
    """(ISO date, one of the newest alarms)"""
    ticks: list[Tick]


def render_drift_report(report: DriftReport) -> str:
    """The report as one HTML document with style and drawings inside, without script or outside request.

    To stay below MOST_BYTES it leaves out first the tooltips of days within the expected range, then the drawings of
    categories on hold, then all drawings (drift.parquet has the figures); images are shrunk or left out. Texts from
    outside are escaped, credentials in them removed.
    """
    images = [image for section in _by_severity(report) for _, image in _alarms(section)]
    for detail in (_EVERY_DAY, _DAYS_OUTSIDE, _DRIFTING_ALONE, _NOTHING):
        bare = _render(report, detail, [EMPTY] * len(images))
        space = MOST_BYTES - len(bare.encode("utf-8"))
        if space > 0:
            break
    drawn = thumbnails(images, min(space, _MOST_PICTURE_BYTES)) if images and space > 0 else []
    if not drawn or sum(thumbnail.size for thumbnail in drawn if thumbnail) >= space:
        return _render(report, detail, [None] * len(images))
    return _render(report, detail, drawn)


def _alarms(section: CategorySection) -> tuple[tuple[str, ScoredImage], ...]:
    """The alarms to show: none without drift, where they are ordinary."""
    return section.current.newest_alarms if section.current.drifts else ()


def _render(report: DriftReport, detail: int, drawn: Sequence[Thumbnail | None]) -> str:
    pictures = iter(drawn)
    tested = sum(model.p_value is not None for section in report.categories for model in section.models)
    sections = [
        _section(section, number, tested, detail, pictures, report.review_url)
        for number, section in enumerate(_by_severity(report), start=1)
    ]
    worst = drift_words.worst_action(report)
    return page(
        "drift_report.html",
        report=report,
        sections=sections,
        headline=drift_words.headline(report),
        worst=worst,
        worst_tone="bad" if report.failed and worst in (HOLD, None) else TONES[worst],
        colour_scale=Markup(gradient_css()),
        shortened={_DRIFTING_ALONE: "of categories on hold ", _NOTHING: ""}.get(detail),
    )


def _by_severity(report: DriftReport) -> list[CategorySection]:
    """Most urgent first."""
    order = {action: -rank for rank, action in enumerate(ACTIONS)}
    return sorted(report.categories, key=lambda s: (order.get(s.current.action or "", -0.5), s.category))


def _section(
    section: CategorySection,
    number: int,
    tested: int,
    detail: int,
    pictures: Iterator[Thumbnail | None],
    review_url: str | None,
) -> _Section:
    current = section.current
    drawn = detail < _DRIFTING_ALONE or (detail == _DRIFTING_ALONE and current.drifts)
    by_name = {figure.name: figure for figure in current.figures}
    cards = [(day, card_of(image, next(pictures), review_url)) for day, image in _alarms(section)]
    return _Section(
        category=section.category,
        anchor=f"category-{number}",
        current=current,
        tone=TONES[current.action],
        steps=drift_words.steps(section),
        changes=drift_words.model_change(section),
        facts=_facts(current, tested),
        drawings=_drawings(section, hover_all=detail == _EVERY_DAY) if drawn else [],
        effects=[(words, by_name[name]) for name, words in EFFECT_SIZES.items() if name in by_name],
        cards=cards,
        ticks=legend_ticks([card for _, card in cards]),
    )


def _drawings(section: CategorySection, *, hover_all: bool) -> list[_Drawing]:
    drawings = []
    for name, words in BY_DAY.items():
        segments = [[f for f in model.figures if f.name == name] for model in section.models]
        svg = chart_by_day(segments, words, shown(f"{words.title} of {section.category}"), hover_all=hover_all)
        if svg:
            drawings.append(_drawing(words.title, svg, [f for segment in segments for f in segment], name))
    shifts = [f for f in section.current.figures if f.name in WINDOW_FIGURES]
    if shifts:
        svg = chart_of_shifts(shifts, shown(f"Quantile shifts of {section.category}"))
        tone = "warn" if any(f.outside for f in shifts) else "plain"
        drawings.insert(1, _Drawing("Quantiles of the whole window", svg, drift_words.shifts_in_words(shifts), tone))
    return drawings


def _drawing(title: str, svg: Markup, figures: list[DriftFigure], name: str) -> _Drawing:
    tone = "warn" if any(figure.outside for figure in figures) else "plain"
    return _Drawing(title, svg, drift_words.in_words(figures, BY_DAY[name]), tone)


def _facts(model: ModelSection, tested: int) -> list[tuple[str, str, str]]:
    count, score = number_format.count, number_format.score
    facts = [
        ("Images", count(model.images), "of these days whose latest score is by this version"),
        ("Without a score", count(model.unscored), "unreadable or rejected: nobody has judged these parts"),
    ]
    if model.alarms:
        alarms = model.alarms
        facts += [
            ("Alarms", count(alarms.alarms), drift_words.shares(model)),
            (
                "Expected alarms",
                f"{count(alarms.in_control_low)} to {count(alarms.in_control_high)}",
                f"promised false-alarm rate of {number_format.percent(alarms.alpha)}, and ordinary defects",
            ),
        ]
    if model.changed_since:
        facts.append(("Changed since", model.changed_since, "the most likely first day of the change"))
    if model.p_value is not None:
        p_value = number_format.p_value(model.p_value)
        facts.append(("Difference", f"p {p_value}", drift_words.discovery(model, tested)))
    if model.new_threshold:
        new = model.new_threshold
        flips = f"{count(new.to_normal)} alarms would go, {count(new.to_anomalous)} would come"
        facts.append(("Threshold", score(model.threshold), f"from these days alone: {score(new.value)}, {flips}"))
    if model.golden:
        facts.append(_golden(model.golden))
    facts.append(("Held-out images", count(model.calibration_images), "good ones, the baseline of all figures here"))
    return facts


def _golden(golden: GoldenFigures) -> tuple[str, str, str]:
    meaning = (
        f"with a changed score; the largest change is {golden.largest_change:.2g} standard deviations, "
        f"{golden.tolerance:g} is allowed"
    )
    return "Golden images", f"{number_format.count(golden.changed)} of {number_format.count(golden.images)}", meaning
