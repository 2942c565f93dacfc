"""ROC and PRO curves as inline SVG with tooltips."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from reports.svg import Axes, Scale, element, hit, joined, line, picture, text

_WIDTH, _HEIGHT = 360, 290
_TOOLTIPS = 17
"""points of a line with a tooltip"""


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
) -> Markup:
    """An SVG element of the line through (x, y), both (k,), with the line of guessing dashed.

    The x axis goes from 0 to `x_end`, the y axis from 0 to 1; points beyond are cut off. Raises ValueError for no
    point or different lengths.
    """
    if not len(x) or len(x) != len(y):
        raise ValueError(f"{len(x)} x and {len(y)} y values make no line. Give as many of both, one at least.")
    inside = np.asarray(x) <= x_end
    x, y = np.asarray(x, np.float64)[inside], np.asarray(y, np.float64)[inside]
    axes = Axes(Scale(0, x_end, 46, _WIDTH - 14), Scale(0, 1, _HEIGHT - 44, 14))
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    middle = (axes.y.start + axes.y.end) / 2
    turned = element("text", y_name, x=12, y=middle, text_anchor="middle", transform=f"rotate(-90 12 {middle:.0f})")

    def point(at: int) -> str:
        return f"{x_name} {x[at]:.4g}, {y_name} {y[at]:.4g}"

    ends = f"A line from {point(0)} to {point(-1)}; halfway {point(len(x) // 2)}"
    return picture(
        _WIDTH,
        _HEIGHT,
        title,
        "; ".join([ends, *(mark.label for mark in marks)]) + ".",
        axes.upwards(shares, "{:g}".format) + axes.level("axis", 0),
        axes.across([share * x_end for share in shares]),
        text(x_name, (axes.x.start + axes.x.end) / 2, axes.y.start + 34, "middle") + turned,
        line("guess", axes.x(0), axes.y(0), axes.x(1), axes.y(min(1, x_end))),
        axes.polyline("line", x, y),
        *(hit(axes.x(x[at]), axes.y(y[at]), 6, point(at)) for at in _spread(len(x))),
        *(_mark(mark, axes) for mark in marks if mark.x <= x_end),
        kind="chart square",
    )


def _spread(count: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, count - 1, min(count, _TOOLTIPS)).round().astype(np.intp))


def _mark(mark: Mark, axes: Axes) -> Markup:
    x, y = axes.x(mark.x), axes.y(mark.y)
    left = x > _WIDTH * 0.6
    dot = element("circle", element("title", mark.label), class_="mark", cx=x, cy=y, r=5)
    beside, anchor = (x - 9, "end") if left else (x + 9, "start")
    return joined(
        dot, text(mark.label.partition(":")[0], beside, y + (16 if y < _HEIGHT / 2 else -8), anchor, "mark")
    )
