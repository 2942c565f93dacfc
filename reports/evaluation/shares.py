"""Shares of groups with their intervals, one row each, as inline SVG."""

from collections.abc import Sequence

from markupsafe import Markup

from reports.evaluation.measures import ShareRow
from reports.number_format import percent
from reports.plain_text import shown
from reports.svg import Axes, Scale, interval, picture, text

_WIDTH, _ROW, _TOP = 520, 26, 8
_LONGEST_NAME = 22


def share_chart(rows: Sequence[ShareRow], title: str) -> Markup:
    """An SVG element with a dot at each share in [0, 1] on the line of its interval; empty without rows.

    A row without cases is a dash. Names are cut to fit; tooltips have them whole.
    """
    if not rows:
        return Markup("")
    base = _TOP + _ROW * len(rows)
    axes = Axes(Scale(0, 1, 150, _WIDTH - 20), Scale(0, 1, base, _TOP))
    grid = axes.across((0.0, 0.25, 0.5, 0.75, 1.0), percent, grid=True)
    drawn = [_row(row, axes.x, _TOP + _ROW * (place + 0.5)) for place, row in enumerate(rows)]
    return picture(_WIDTH, base + 24, title, ". ".join(in_words(row) for row in rows) + ".", grid, *drawn)


def in_words(row: ShareRow) -> str:
    """Such as 'scratch: 3 of 4, 75 %, interval 19.4 % to 99.4 %'."""
    if row.value is None:
        return f"{shown(row.name)}: none labelled"
    return (
        f"{shown(row.name)}: {row.hits} of {row.total}, {percent(row.value)}, "
        f"interval {percent(row.low)} to {percent(row.high)}"
    )


def _row(row: ShareRow, x: Scale, y: float) -> Markup:
    name = shown(row.name)
    short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    label = text(short, x.start - 10, y + 4, "end")
    if row.value is None:
        return label + text("–", x.start + 6, y + 4)
    return label + interval(x, y, _ROW, row.low, row.value, row.high, in_words(row))
