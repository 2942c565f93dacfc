"""Lines in a unit square, such as ROC and PRO curves, as inline SVG that shows values under the mouse."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 360, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 14, 44
_HOVERED = 17
"""places of a line with a text of their own"""


@dataclass(frozen=True)
class Mark:
    """A single point, such as the threshold in force."""

    x: float
    y: float
    label: str


def curve_chart(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    *,
    x_end: float,
    x_name: str,
    y_name: str,
    title: str,
    marks: Sequence[Mark] = (),
    diagonal: bool = False,
) -> Markup:
    """An SVG element of the line through (x, y), both (k,), coloured by the page's CSS.

    The x axis goes from 0 to `x_end`, the y axis from 0 to 1; what lies beyond is cut off. `diagonal` draws what
    guessing would reach. Every text is escaped. Raises ValueError for no point or arrays of two lengths.
    """
    if not len(x) or len(x) != len(y):
        raise ValueError(f"{len(x)} x and {len(y)} y values make no line. Give as many of both, one at least.")
    inside = np.asarray(x) <= x_end
    xs, ys = np.asarray(x, np.float64)[inside], np.asarray(y, np.float64)[inside]
    points = " ".join(f"{_across(a, x_end):.1f},{_up(b):.1f}" for a, b in zip(xs, ys, strict=True))
    guess = Markup('<line class="guess" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        _LEFT, _up(0), _across(min(1.0, x_end), x_end), f"{_up(min(1.0, x_end)):.1f}"
    )
    return Markup(
        '<svg class="chart square" viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}{}{}{}{}</svg>'
    ).format(
        _WIDTH,
        _HEIGHT,
        title,
        _in_words(xs, ys, x_name, y_name, marks),
        _axes(x_end, x_name, y_name),
        guess if diagonal else Markup(""),
        Markup('<polyline class="line" points="{}"/>').format(points),
        _hovers(xs, ys, x_end, x_name, y_name),
        Markup("").join(_mark(mark, x_end) for mark in marks if mark.x <= x_end),
    )


def _across(value: float, end: float) -> float:
    return _LEFT + float(value) / end * (_WIDTH - _LEFT - _RIGHT)


def _up(value: float) -> float:
    return _HEIGHT - _BOTTOM - float(value) * (_HEIGHT - _TOP - _BOTTOM)


def _axes(x_end: float, x_name: str, y_name: str) -> Markup:
    base = _HEIGHT - _BOTTOM
    drawn = [
        Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(_LEFT, _WIDTH - _RIGHT, base, base)
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y, x = _up(share), _across(share * x_end, x_end)
        drawn.append(
            Markup(
                '<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>'
                '<text x="{}" y="{:.1f}" text-anchor="end">{}</text>'
                '<text x="{x:.1f}" y="{}" text-anchor="middle">{}</text>'
            ).format(
                _LEFT, _WIDTH - _RIGHT, _LEFT - 5, y + 4, f"{share:g}", base + 15, f"{share * x_end:.3g}", y=y, x=x
            )
        )
    middle = (_TOP + base) / 2
    drawn.append(
        Markup(
            '<text x="{}" y="{}" text-anchor="middle">{}</text>'
            '<text x="12" y="{m:.0f}" text-anchor="middle" transform="rotate(-90 12 {m:.0f})">{}</text>'
        ).format((_LEFT + _WIDTH - _RIGHT) / 2, base + 34, x_name, y_name, m=middle)
    )
    return Markup("").join(drawn)


def _hovers(x: NDArray[np.float64], y: NDArray[np.float64], x_end: float, x_name: str, y_name: str) -> Markup:
    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), _HOVERED)).round().astype(int))
    return Markup("").join(
        Markup('<circle class="hover" cx="{:.1f}" cy="{:.1f}" r="6"><title>{}</title></circle>').format(
            _across(x[i], x_end), _up(y[i]), f"{x_name} {x[i]:.4g}, {y_name} {y[i]:.4g}"
        )
        for i in chosen
    )


def _mark(mark: Mark, x_end: float) -> Markup:
    x, y = _across(mark.x, x_end), _up(mark.y)
    left = x > _WIDTH * 0.6
    return Markup(
        '<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{label}</title></circle>'
        '<text class="mark" x="{:.1f}" y="{:.1f}" text-anchor="{}">{short}</text>'
    ).format(
        x - 9 if left else x + 9,
        y + 16 if y < _HEIGHT / 2 else y - 8,
        "end" if left else "start",
        x=x,
        y=y,
        label=mark.label,
        short=mark.label.partition(":")[0],
    )


def _in_words(x: NDArray[np.float64], y: NDArray[np.float64], x_name: str, y_name: str, marks: Sequence[Mark]) -> str:
    parts = [f"A line from {x_name} {x[0]:.3g}, {y_name} {y[0]:.3g} to {x_name} {x[-1]:.3g}, {y_name} {y[-1]:.3g}"]
    middle = len(x) // 2
    parts += [f"halfway {x_name} {x[middle]:.3g}, {y_name} {y[middle]:.3g}"]
    return "; ".join([*parts, *(mark.label for mark in marks)]) + "."
