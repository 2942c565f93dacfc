"""Figures by day in their bands, and quantile shifts in theirs, as inline SVG."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from markupsafe import Markup

from reports import number_format
from reports.axis import drawable, length, round_values
from reports.drift.records import DriftFigure
from reports.drift.words import FigureWords

_WIDTH, _HEIGHT = 520, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 22, 30
_ROW = 34
"""height of a quantile"""
_LABEL = 76
"""width of a quantile's name"""
_MOST_DAY_LABELS = 5


@dataclass(frozen=True)
class _Scale:
    """Values in [low, high] to pixels."""

    low: float
    high: float
    first: int
    last: int
    """ordinals of the days"""

    def x(self, day: float) -> float:
        return _LEFT + (day - self.first + 0.5) / (self.last - self.first + 1) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return _HEIGHT - _BOTTOM - (inside - self.low) / (self.high - self.low) * (_HEIGHT - _TOP - _BOTTOM)


def chart_by_day(
    segments: Sequence[Sequence[DriftFigure]], words: FigureWords, title: str, *, hover_all: bool = True
) -> Markup:
    """One figure over days, a segment a model version: its line, its band, days outside of it as diamonds.

    Between two segments stands a line: the later one has a baseline of its own. Every day has a text for the mouse,
    or with `hover_all` off only those outside. Empty without a day.
    """
    segments = [segment for segment in segments if segment]
    if not segments:
        return Markup("")
    every = [figure for segment in segments for figure in segment]
    scale = _scale(every, words)
    drawn = [_y_axis(scale, words), *(_band(segment, scale) for segment in segments)]
    drawn += [_line(segment, scale) for segment in segments]
    drawn += [_point(figure, scale, words) for figure in every if hover_all or figure.outside]
    drawn += [_change(before[-1], after[0], scale) for before, after in pairwise(segments)]
    drawn.append(_x_axis(scale))
    return _svg(_HEIGHT, title, _description(every, words), drawn)


def chart_of_shifts(figures: Sequence[DriftFigure], title: str) -> Markup:
    """Quantile shifts of a window, a row each, in the bands that chance allows. Empty without one."""
    if not figures:
        return Markup("")
    ends = [end for f in figures for end in (f.value, f.band_low or 0.0, f.band_high)] + [0.0]
    low, high = _padded(min(ends), max(ends))
    base = _TOP + _ROW * len(figures)

    def x(value: float) -> float:
        return _LABEL + (min(max(value, low), high) - low) / (high - low) * (_WIDTH - _LABEL - _RIGHT)

    rows = [_shift(figure, _TOP + _ROW * (number + 0.5), x) for number, figure in enumerate(figures)]
    ticks = [
        Markup(
            '<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{base}"/>'
            '<text x="{x:.1f}" y="{label}" text-anchor="middle">{:.3g}</text>'
        ).format(_TOP, value, x=x(value), base=base, label=base + 16)
        for value in round_values(low, high)
    ]
    told = "; ".join(f"{_quantile(f)} {f.value:+.3g}{', outside' if f.outside else ''}" for f in figures)
    return _svg(base + 24, title, f"Shifts in interquartile ranges: {told}.", [*ticks, *rows])


def _svg(height: float, title: str, description: str, drawn: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}</svg>'
    ).format(_WIDTH, height, title, description, Markup("").join(drawn))


def _scale(figures: Sequence[DriftFigure], words: FigureWords) -> _Scale:
    values = [end for f in figures for end in (f.value, f.band_low, f.band_high) if end is not None]
    if words.from_zero:
        values.append(0.0)
    low, high = _padded(min(values), max(values))
    days = [figure.last_day.toordinal() for figure in figures]
    return _Scale(0.0 if words.from_zero and min(values) >= 0 else low, high, min(days), max(days))


def _padded(low: float, high: float) -> tuple[float, float]:
    low, high = (float(drawable(end)) for end in (low, high))
    margin = 0.06 * length(low, high)
    return low - margin, high + margin


def _band(segment: Sequence[DriftFigure], scale: _Scale) -> Markup:
    """A step a day, so that a single day has a width and days without images leave no wrong slope."""
    upper, lower = [], []
    for figure in segment:
        day = figure.last_day.toordinal()
        low = scale.low if figure.band_low is None else figure.band_low
        for edge in (day - 0.5, day + 0.5):
            upper.append(f"{scale.x(edge):.1f},{scale.y(figure.band_high):.1f}")
            lower.append(f"{scale.x(edge):.1f},{scale.y(low):.1f}")
    return Markup('<polygon class="band" points="{}"/>').format(" ".join([*upper, *reversed(lower)]))


def _line(segment: Sequence[DriftFigure], scale: _Scale) -> Markup:
    points = " ".join(f"{scale.x(f.last_day.toordinal()):.1f},{scale.y(f.value):.1f}" for f in segment)
    return Markup('<polyline class="series" points="{}"/>').format(points)


def _point(figure: DriftFigure, scale: _Scale, words: FigureWords) -> Markup:
    """With a wide transparent ring, since a finger cannot meet a point."""
    x, y = scale.x(figure.last_day.toordinal()), scale.y(figure.value)
    mark = Markup('<path class="out" d="M{:.1f} {:.1f}l5 5l-5 5l-5-5z"/>').format(x, y - 5)
    dot = Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="2.2"/>').format(x, y)
    return Markup('<g><title>{}</title><circle class="hit" cx="{:.1f}" cy="{:.1f}" r="9"/>{}</g>').format(
        _point_in_words(figure, words), x, y, mark if figure.outside else dot
    )


def _point_in_words(figure: DriftFigure, words: FigureWords) -> str:
    low = "" if figure.band_low is None else f"{_number(figure.band_low, words)} to "
    told = (
        f"{figure.last_day.isoformat()}: {words.unit} {_number(figure.value, words)}, no news are {low or 'up to '}"
    )
    told += _number(figure.band_high, words)
    if figure.images is not None:
        told += f"; {number_format.counted(figure.images, 'image')}"
    return told + ("; outside" if figure.outside else "")


def _change(before: DriftFigure, after: DriftFigure, scale: _Scale) -> Markup:
    x = scale.x((before.last_day.toordinal() + after.last_day.toordinal()) / 2)
    anchor = "end" if x > _WIDTH * 0.7 else "start"
    return Markup(
        '<line class="change" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>'
        '<text class="change" x="{:.1f}" y="13" text-anchor="{}">new model</text>'
    ).format(_TOP - 6, _HEIGHT - _BOTTOM, x + (-4 if anchor == "end" else 4), anchor, x=x)


def _shift(figure: DriftFigure, y: float, x: Callable[[float], float]) -> Markup:
    low = 0.0 if figure.band_low is None else figure.band_low
    told = (
        f"{_quantile(figure)}: moved by {figure.value:+.3g} interquartile ranges, chance gives {low:+.3g} to "
        f"{figure.band_high:+.3g}{'; outside' if figure.outside else ''}"
    )
    bar = Markup('<rect class="band" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="16"/>').format(
        x(low), y - 8, max(1.5, x(figure.band_high) - x(low))
    )
    at = x(figure.value)
    shape = '<path class="out" d="M{:.1f} {:.1f}l6 6l-6 6l-6-6z"/>'
    if not figure.outside:
        shape = '<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>'
    drawn = Markup(shape).format(at, y - (6 if figure.outside else 9), y + 9)
    return Markup('<g><title>{}</title><text x="0" y="{:.1f}">{}</text>{}{}</g>').format(
        told, y + 4, _quantile(figure), bar, drawn
    )


def _quantile(figure: DriftFigure) -> str:
    level = figure.name.removeprefix("quantile_")
    return "median" if level == "0.5" else f"{100 * float(level):g} % quantile"


def _y_axis(scale: _Scale, words: FigureWords) -> Markup:
    return Markup("").join(
        Markup(
            '<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>'
            '<text x="{}" y="{label:.1f}" text-anchor="end">{}</text>'
        ).format(_LEFT, _WIDTH - _RIGHT, _LEFT - 5, _tick(value, words), y=scale.y(value), label=scale.y(value) + 4)
        for value in round_values(scale.low, scale.high)
    )


def _x_axis(scale: _Scale) -> Markup:
    base, days = _HEIGHT - _BOTTOM, scale.last - scale.first
    step = max(1, math.ceil(days / _MOST_DAY_LABELS))
    labels = Markup("").join(
        Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            scale.x(day), base + 17, f"{date.fromordinal(day):%d %b}"
        )
        for day in range(scale.first, scale.last + 1, step)
    )
    return Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>{}').format(
        _LEFT, _WIDTH - _RIGHT, base, base, labels
    )


def _description(figures: Sequence[DriftFigure], words: FigureWords) -> str:
    last, outside = figures[-1], [f for f in figures if f.outside]
    told = f"{words.meaning} {number_format.counted(len(figures), 'day')}; {_point_in_words(last, words)}. "
    days = ", ".join(figure.last_day.isoformat() for figure in outside[-10:])
    return told + (
        f"Outside on {number_format.counted(len(outside), 'day')}: {days}." if outside else "None outside."
    )


def _number(value: float, words: FigureWords) -> str:
    return number_format.percent(value) if words.is_share and value >= 0 else f"{value:.3g}"


def _tick(value: float, words: FigureWords) -> str:
    return f"{100 * value:.3g}\u202f%" if words.is_share else f"{value:.3g}"
