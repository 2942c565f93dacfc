"""Recall, false alarms, review and cost against the threshold, as inline SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from reports import number_format
from reports.evaluation.measures import RecommendedThreshold, ThresholdCurves
from reports.number_format import percent
from reports.svg import Axes, Scale, drawable, element, joined, length, line, picture, text

_WIDTH, _LEFT, _RIGHT, _TOP = 520, 52, 14, 52
_PANEL, _GAP = 112, 34
_SHARES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""ends of the axis of false alarms"""
_MOST_STEPS = 400
_STRIPS = 40
"""vertical strips with a tooltip"""


@dataclass(frozen=True)
class _Mark:
    """A threshold with a line through all panels."""

    kind: str
    name: str
    value: float


@dataclass(frozen=True, eq=False)
class _Panel:
    """One of the drawings above each other."""

    title: str
    end: float
    """of its y axis, which begins at 0"""
    money: bool
    steps: tuple[tuple[str, NDArray[np.float64]], ...]
    """(CSS class, values [k])"""

    def in_words(self, value: float) -> str:
        return number_format.score(value) if self.money else percent(value)


def threshold_chart(curves: ThresholdCurves, recommended: RecommendedThreshold | None, title: str) -> Markup:
    """An SVG element: panels of recall, of false alarms and review, and of the expected cost if there are costs, with
    the threshold in force, its 95 % interval and the recommended threshold; empty without a labelled image.
    """
    if curves.recall is None and curves.false_alarm_rate is None:
        return Markup("")
    marks = [_Mark("threshold", "in force", float(drawable(curves.value)))]
    if recommended is not None and recommended.threshold is not None and not recommended.in_force:
        marks.append(_Mark("recommended", recommended.name, float(drawable(recommended.threshold))))
    end = _end_of_alarms(curves, marks)
    x = _across(curves, marks, end)
    panels = list(_panels(curves, marks, end, x))
    drawn = [_band(curves, x, len(panels))]
    for place, panel in enumerate(panels):
        drawn.append(_draw(panel, curves, _axes(x, place, panel.end)))
    bottom = _axes(x, len(panels) - 1, 1.0)
    drawn += [_drawn_marks(marks, x, bottom.y.start), _strips(curves, x, bottom.y.start)]
    drawn += [bottom.across(x.ticks()), text("threshold", x.end, bottom.y.start + 31, "end")]
    return picture(_WIDTH, bottom.y.start + 38, title, _in_words(curves, marks), *drawn)


def _end_of_alarms(curves: ThresholdCurves, marks: Sequence[_Mark]) -> float:
    """The axis ends a little above what the marked thresholds show: 1 % is invisible beside 100 %."""
    shares = [0.0]
    for mark in marks:
        shares += [] if curves.false_alarm_rate is None else [curves.at(curves.false_alarm_rate, mark.value)]
        shares += [curves.review_at(mark.value) or 0.0]
    return next((end for end in _SHARES if end >= 1.3 * max(shares)), 1.0)


def _across(curves: ThresholdCurves, marks: Sequence[_Mark], end: float) -> Scale:
    """From where the axis of false alarms ends to beyond the last of them, and to half of the defects if they are
    near."""
    scores = drawable(curves.thresholds[1:])
    values = [mark.value for mark in marks]
    low, high = min(values), max(values)
    if curves.false_alarm_rate is not None:
        low = min(low, _first_below(scores, curves.false_alarm_rate, end))
        high = max(high, _first_below(scores, curves.false_alarm_rate, end / 40))
    else:
        low = min(low, float(scores[0]))
    high = min(max(high, float(drawable(curves.high))), high + max(high - low, 0.0))
    span = length(low, high)
    if curves.recall is not None:
        high = max(high, min(_first_below(scores, curves.recall, 0.5), low + 2.2 * span))
    margin = 0.06 * length(low, high)
    left, right = drawable([low - margin, high + margin]).tolist()
    return Scale(left, right, _LEFT, _WIDTH - _RIGHT)


def _first_below(scores: NDArray[np.float64], shares: NDArray[np.float64], end: float) -> float:
    """The lowest score [k] at which falling shares [k + 1] have come down to `end`."""
    return float(scores[int(np.argmax(shares[1:] <= end))])


def _panels(curves: ThresholdCurves, marks: Sequence[_Mark], end: float, x: Scale) -> Iterator[_Panel]:
    if curves.recall is not None:
        yield _Panel("recall", 1.0, False, (("line recall", curves.recall),))
    if curves.false_alarm_rate is not None:
        yield _Panel("false alarms and review", end, False, (("line alarms", curves.false_alarm_rate),))
    if curves.cost is not None:
        highest = max(curves.at(curves.cost, value) for value in (x.low, x.high, *(mark.value for mark in marks)))
        nearby = 3 * max(curves.at(curves.cost, mark.value) for mark in marks)
        top = 1.1 * (min(highest, nearby) or highest or 1.0)
        yield _Panel("expected cost an image", top, True, (("line cost", curves.cost),))


def _axes(x: Scale, place: int, end: float) -> Axes:
    top = _TOP + place * (_PANEL + _GAP)
    return Axes(x, Scale(0.0, end, top + _PANEL, top))


def _draw(panel: _Panel, curves: ThresholdCurves, axes: Axes) -> Markup:
    ticks = axes.y.ticks(2) if panel.money else [0.0, panel.end / 2, panel.end]
    drawn = [axes.upwards(ticks, panel.in_words), axes.level("axis", 0)]
    drawn.append(text(panel.title, axes.x.start, axes.y.end - 9, kind="panel"))
    for kind, values in panel.steps:
        at, shares = _steps(curves.thresholds, values, axes.x)
        drawn += [axes.polyline(kind, *part) for part in _below(at, shares, panel.end)]
    if not panel.money and "review" in panel.title and len(curves.review):
        inside = (curves.reachable >= axes.x.low) & (curves.reachable <= axes.x.high)
        at, shares = curves.reachable[inside], curves.review[inside]
        drawn += [axes.polyline("line review", *part) for part in _below(at, shares, panel.end)]
    return joined(*drawn)


def _steps(
    thresholds: NDArray[np.float64], values: NDArray[np.float64], x: Scale
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The corners of a step function within the axis; of very many steps, those that pixels can show."""
    edges = thresholds[(thresholds > x.low) & (thresholds < x.high)]
    if len(edges) > _MOST_STEPS:
        edges = np.linspace(x.low, x.high, _MOST_STEPS)[1:-1]
    edges = np.concatenate([[x.low], edges, [x.high]])
    held = values[np.searchsorted(thresholds, edges[:-1], side="right") - 1]
    return np.repeat(edges, 2)[1:-1], np.repeat(held, 2)


def _below(
    at: NDArray[np.float64], values: NDArray[np.float64], end: float
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The parts of a line (k,) that are not above `end`; a part that comes from there begins at it."""
    below = values <= end
    borders = np.flatnonzero(np.diff(below)) + 1
    for part in np.split(np.arange(len(at)), borders):
        if not len(part) or not below[part[0]]:
            continue
        first, last = part[0], part[-1]
        xs, ys = [at[part]], [values[part]]
        if first > 0:
            xs, ys = [at[first : first + 1], *xs], [np.array([end]), *ys]
        if last < len(at) - 1:
            xs, ys = [*xs, at[last : last + 1]], [*ys, np.array([end])]
        yield np.concatenate(xs), np.concatenate(ys)


def _band(curves: ThresholdCurves, x: Scale, panels: int) -> Markup:
    left, right = x(float(drawable(curves.low))), x(float(drawable(curves.high)))
    words = f"95\u202f% interval of the threshold in force: {curves.low:.4g} to {curves.high:.4g}"
    tall = panels * (_PANEL + _GAP) - _GAP
    return element(
        "rect", element("title", words), class_="band", x=left, y=float(_TOP), width=max(1.0, right - left),
        height=float(tall),
    )  # fmt: skip


def _drawn_marks(marks: Sequence[_Mark], x: Scale, bottom: float) -> Markup:
    """Each label has a row of its own above the panels, so that near thresholds do not hide one another; of two, each
    is on its line's outer side where there is room."""
    drawn = []
    for row, mark in enumerate(marks):
        at, y = x(mark.value), 11.0 + 14 * row
        left = at > 0.62 * _WIDTH or (
            mark.value == min(m.value for m in marks) and len(marks) > 1 and at > 0.3 * _WIDTH
        )
        label = f"{mark.name} {number_format.score(mark.value)}"
        drawn.append(line(mark.kind, at, y - 8, at, bottom))
        drawn.append(text(label, at + (-5 if left else 5), y, "end" if left else "start", mark.kind))
    return joined(*drawn)


def _strips(curves: ThresholdCurves, x: Scale, bottom: float) -> Markup:
    wide = (x.end - x.start) / _STRIPS
    drawn = []
    for number in range(_STRIPS):
        middle = x.low + (number + 0.5) / _STRIPS * (x.high - x.low)
        words = element("title", f"threshold {number_format.score(middle)}: {_outcome(curves, middle)}")
        drawn.append(
            element("rect", words, class_="strip", x=x.start + number * wide, y=float(_TOP), width=wide,
                    height=bottom - _TOP)
        )  # fmt: skip
    return joined(*drawn)


def _outcome(curves: ThresholdCurves, threshold: float) -> str:
    words = [
        f"{name} {percent(curves.at(shares, threshold))}"
        for name, shares in (("recall", curves.recall), ("false alarms", curves.false_alarm_rate))
        if shares is not None
    ]
    review = curves.review_at(threshold)
    words += [] if review is None or curves.false_alarm_rate is None else [f"for review {percent(review)}"]
    if curves.cost is not None:
        words.append(f"expected cost {number_format.score(curves.at(curves.cost, threshold))}")
    return ", ".join(words)


def _in_words(curves: ThresholdCurves, marks: Sequence[_Mark]) -> str:
    words = [
        f"At the threshold {number_format.score(mark.value)}, {mark.name}: {_outcome(curves, mark.value)}"
        for mark in marks
    ]
    missing = " No image is labelled anomalous, so there is no recall." if curves.recall is None else ""
    missing += (
        " No image is labelled normal, so there are no false alarms." if curves.false_alarm_rate is None else ""
    )
    return ". ".join(words) + f". A higher threshold finds fewer defects and stops fewer good parts.{missing}"
