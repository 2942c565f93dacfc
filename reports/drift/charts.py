"""Drift figures by day and quantile shifts with their expected ranges, as inline SVG."""

import math
from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from markupsafe import Markup

from reports import number_format
from reports.drift.verdicts import DriftFigure
from reports.drift.words import FigureWords
from reports.svg import Axes, Scale, drawable, element, hit, length, line, picture, text

_WIDTH, _HEIGHT, _RIGHT, _TOP = 520, 200, 14, 22
_ROW = 34
"""height of a quantile"""
_MOST_DAY_LABELS = 5


def chart_by_day(
    segments: Sequence[Sequence[DriftFigure]], words: FigureWords, title: str, *, hover_all: bool = True
) -> Markup:
    """One figure over days: line, expected range as a band, days outside as diamonds. Empty without a day.

    Each segment is a model version with its own baseline; a vertical line separates two. Every day has a tooltip;
    with `hover_all` off, only those outside.
    """
    segments = [segment for segment in segments if segment]
    if not segments:
        return Markup("")
    every = [figure for segment in segments for figure in segment]
    axes = _axes(every, words)
    return picture(
        _WIDTH,
        _HEIGHT,
        title,
        _description(every, words),
        axes.upwards(axes.y.ticks(), lambda value: f"{100 * value:.3g}\u202f%" if words.is_share else f"{value:.3g}"),
        *(_band(segment, axes) for segment in segments),
        *(axes.polyline("series", [_day(f) for f in segment], [f.value for f in segment]) for segment in segments),
        *(_point(figure, axes, words) for figure in every if hover_all or figure.outside),
        *(
            axes.upright("change", (_day(before[-1]) + _day(after[0])) / 2, "new model")
            for before, after in pairwise(segments)
        ),
        axes.level("axis", axes.y.low),
        axes.across(_labelled_days(every), lambda day: f"{date.fromordinal(int(day)):%d %b}"),
    )


def chart_of_shifts(figures: Sequence[DriftFigure], title: str) -> Markup:
    """Quantile shifts of a window, one row each, with their expected ranges. Empty without one."""
    if not figures:
        return Markup("")
    ends = [end for f in figures for end in (f.value, f.band_low or 0.0, f.band_high)] + [0.0]
    base = _TOP + _ROW * len(figures)
    axes = Axes(_padded(min(ends), max(ends), 76, _WIDTH - _RIGHT), Scale(0, 1, base, _TOP))
    words = "; ".join(f"{_quantile(f)} {f.value:+.3g}{', outside' if f.outside else ''}" for f in figures)
    rows = [_shift(figure, _TOP + _ROW * (number + 0.5), axes.x) for number, figure in enumerate(figures)]
    grid = axes.across(axes.x.ticks(), grid=True)
    return picture(_WIDTH, base + 24, title, f"Shifts in interquartile ranges: {words}.", grid, *rows)


def _axes(figures: Sequence[DriftFigure], words: FigureWords) -> Axes:
    values = [end for f in figures for end in (f.value, f.band_low, f.band_high) if end is not None]
    if words.from_zero:
        values.append(0.0)
    y = _padded(min(values), max(values), _HEIGHT - 30, _TOP)
    if words.from_zero and min(values) >= 0:
        y = Scale(0.0, y.high, y.start, y.end)
    days = [_day(figure) for figure in figures]
    return Axes(Scale(min(days) - 0.5, max(days) + 0.5, 52, _WIDTH - _RIGHT), y)


def _padded(low: float, high: float, start: float, end: float) -> Scale:
    low, high = (float(drawable(value)) for value in (low, high))
    margin = 0.06 * length(low, high)
    return Scale(low - margin, high + margin, start, end)


def _day(figure: DriftFigure) -> int:
    return figure.last_day.toordinal()


def _labelled_days(figures: Sequence[DriftFigure]) -> range:
    days = [_day(figure) for figure in figures]
    return range(min(days), max(days) + 1, max(1, math.ceil((max(days) - min(days)) / _MOST_DAY_LABELS)))


def _band(segment: Sequence[DriftFigure], axes: Axes) -> Markup:
    """One step a day, so that a single day has a width and days without images make no slope."""
    edges = [edge for figure in segment for edge in (_day(figure) - 0.5, _day(figure) + 0.5)]
    upper = [figure.band_high for figure in segment for _ in range(2)]
    lower = [axes.y.low if f.band_low is None else f.band_low for f in segment for _ in range(2)]
    return element("polygon", class_="band", points=axes.points([*edges, *edges[::-1]], [*upper, *lower[::-1]]))


def _point(figure: DriftFigure, axes: Axes, words: FigureWords) -> Markup:
    x, y = axes.x(_day(figure)), axes.y(figure.value)
    mark = _diamond(x, y, 5) if figure.outside else element("circle", class_="dot", cx=x, cy=y, r=2.2)
    return hit(x, y, 9, _point_in_words(figure, words), mark)


def _diamond(x: float, y: float, reach: int) -> Markup:
    return element(
        "path", class_="out", d=f"M{x:.1f} {y - reach:.1f}l{reach} {reach}l-{reach} {reach}l-{reach}-{reach}z"
    )


def _point_in_words(figure: DriftFigure, words: FigureWords) -> str:
    low = "up to " if figure.band_low is None else f"{_number(figure.band_low, words)} to "
    sentence = f"{figure.last_day.isoformat()}: {words.unit} {_number(figure.value, words)}, expected range {low}"
    sentence += _number(figure.band_high, words)
    if figure.images is not None:
        sentence += f"; {number_format.counted(figure.images, 'image')}"
    return sentence + ("; outside" if figure.outside else "")


def _shift(figure: DriftFigure, y: float, x: Scale) -> Markup:
    low, at = figure.band_low or 0.0, x(figure.value)
    words = (
        f"{_quantile(figure)}: moved by {figure.value:+.3g} interquartile ranges, expected range {low:+.3g} to "
        f"{figure.band_high:+.3g}{'; outside' if figure.outside else ''}"
    )
    wide = max(1.5, x(figure.band_high) - x(low))
    return element(
        "g",
        element("title", words),
        text(_quantile(figure), 0, y + 4),
        element("rect", class_="band", x=x(low), y=y - 8, width=wide, height=16),
        _diamond(at, y, 6) if figure.outside else line("mark", at, y - 9, at, y + 9),
    )


def _quantile(figure: DriftFigure) -> str:
    level = figure.name.removeprefix("quantile_")
    return "median" if level == "0.5" else f"{100 * float(level):g} % quantile"


def _description(figures: Sequence[DriftFigure], words: FigureWords) -> str:
    last, outside = figures[-1], [f for f in figures if f.outside]
    sentences = f"{words.meaning} {number_format.counted(len(figures), 'day')}; {_point_in_words(last, words)}. "
    days = ", ".join(figure.last_day.isoformat() for figure in outside[-10:])
    return sentences + (
        f"Outside on {number_format.counted(len(outside), 'day')}: {days}." if outside else "None outside."
    )


def _number(value: float, words: FigureWords) -> str:
    return number_format.percent(value) if words.is_share and value >= 0 else f"{value:.3g}"
