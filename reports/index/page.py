"""The plant's index page: one HTML file with what needs attention and links to all reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from reports import number_format
from reports.drift import words as drift_words
from reports.drift.verdicts import STOP_THE_LINE
from reports.evaluation.words import WORDS
from reports.index.needs import Need, needs, of_earlier_model
from reports.index.plant import (
    DAMAGED,
    SEALED,
    UNSEALED,
    PlantCategory,
    PlantDay,
    PlantIndex,
)
from reports.index.sparkline import sparkline
from reports.page import page
from reports.plain_text import shown

MOST_LINKS = 4
"""earlier reports of a night, and retrainings of a category"""
_MOST_UNREADABLE_SHOWN = 100
_FIGURES = {"image_auroc": "AUROC", "recall": "recall", "false_alarm_rate": "false alarms", "aupro_30": "AUPRO"}
_TONES = {SEALED: "good", UNSEALED: "bad", DAMAGED: "bad"}


@dataclass(frozen=True)
class _Category:
    """One row of the table of categories, ready to show."""

    category: PlantCategory
    tone: str
    earlier_model: bool
    """the drift verdict is about a version that is no longer in force"""
    alarms: Markup
    last_share: float | None
    alpha: float | None
    figures: list[tuple[str, str, str]]
    """name, value, meaning"""
    age: str | None
    retraining_left_out: int


@dataclass(frozen=True)
class _Night:
    """One day, ready to show."""

    night: PlantDay
    is_open: bool
    sealed: int
    images: int
    anomalous: int
    share: float | None
    unscored: int
    unsealed: int
    damaged: int


def render_plant_index(index: PlantIndex) -> str:
    """The page as one HTML document with style and drawings inside, without script or outside request.

    Links are relative to the page. Texts from outside are escaped, credentials in them removed.
    """
    open_needs = needs(index)
    return page(
        "plant_index.html",
        index=index,
        needs=open_needs,
        tone="bad" if any(need.tone == "bad" for need in open_needs) else "warn" if open_needs else "good",
        headline=_headline(index, open_needs),
        categories=[_category(index, category) for category in index.categories],
        nights=[_night(night, is_open=number == 0) for number, night in enumerate(index.nights)],
        sealed_days=sum(_is_sealed(night) for night in index.nights),
        tones=_TONES,
        unreadable=index.unreadable[:_MOST_UNREADABLE_SHOWN],
        unreadable_left_out=max(0, len(index.unreadable) - _MOST_UNREADABLE_SHOWN),
        most_links=MOST_LINKS,
        link=_link,
    )


def _link(path: str) -> str:
    """A report's path as a URL: names may have spaces, '#' and '%'."""
    return quote(path, safe="/", errors="replace")


def _headline(index: PlantIndex, open_needs: Sequence[Need]) -> str:
    if open_needs:
        stopped = [
            category.category
            for category in index.categories
            if category.drift and category.drift.action == STOP_THE_LINE
        ]
        first = f"Stop the line: {', '.join(stopped)}. " if stopped else ""
        return first + f"{number_format.counted(len(open_needs), 'thing')} to do, most urgent first."
    if not index.nights:
        return "No day is complete yet. Inspect one: rd-inspect inspect"
    if not any(category.drift for category in index.categories):
        return "Nothing to do. Every day shown is complete; drift has not been assessed yet."
    return "Nothing to do. Every day shown is complete, and every drift verdict is hold."


def _category(index: PlantIndex, category: PlantCategory) -> _Category:
    nights = [
        (night.day, row)
        for night in reversed(index.nights)
        for row in night.categories
        if row.category == category.category and row.share is not None
    ]
    days, shares = [day for day, _ in nights], [row.share or 0.0 for _, row in nights]
    alpha = nights[-1][1].alpha if nights else None
    figures = category.evaluation.figures if category.evaluation else {}
    return _Category(
        category=category,
        tone=drift_words.TONES[category.drift.action if category.drift else None],
        earlier_model=of_earlier_model(category),
        alarms=sparkline(days, shares, alpha, shown(f"Alarm rate of {category.category}")),
        last_share=shares[-1] if shares else None,
        alpha=alpha,
        figures=[
            (short, _in_digits(figures[name], is_share=WORDS[name].is_share), WORDS[name].meaning)
            for name, short in _FIGURES.items()
            if name in figures
        ],
        age=_age(max(0, (index.made_at - category.champion.since).days)) if category.champion else None,
        retraining_left_out=max(0, len(category.retraining) - MOST_LINKS),
    )


def _in_digits(value: float, *, is_share: bool) -> str:
    return number_format.percent(value) if is_share else f"{value:.3f}"


def _age(days: int) -> str:
    return "today" if not days else f"{number_format.counted(days, 'day')} ago"


def _night(night: PlantDay, *, is_open: bool) -> _Night:
    ok = sum(category.ok for category in night.categories)
    anomalous = sum(category.anomalous for category in night.categories)
    states = [category.state for category in night.categories]
    return _Night(
        night=night,
        is_open=is_open,
        sealed=states.count(SEALED),
        images=sum(category.images for category in night.categories),
        anomalous=anomalous,
        share=anomalous / ok if ok else None,
        unscored=sum(category.unscored for category in night.categories),
        unsealed=states.count(UNSEALED),
        damaged=states.count(DAMAGED),
    )


def _is_sealed(night: PlantDay) -> bool:
    return any(category.state != UNSEALED for category in night.categories)
