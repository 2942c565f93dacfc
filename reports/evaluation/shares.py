"""Shares of groups with their intervals, a row a group, as inline SVG."""

from collections.abc import Sequence

from markupsafe import Markup

from reports.evaluation.records import ShareRow
from reports.number_format import percent
from reports.plain_text import shown

_WIDTH, _ROW, _TOP, _BOTTOM = 520, 26, 8, 24
_LEFT, _RIGHT = 150, 20
_LONGEST_NAME = 22


def share_chart(rows: Sequence[ShareRow], title: str) -> Markup:
    """An SVG element: a dot at each share of [0, 1] on the line of its interval; empty without rows.

    A row without cases is a dash. Names are cut to fit; the text under the mouse has them whole.
    """
    if not rows:
        return Markup("")
    height = _TOP + _ROW * len(rows) + _BOTTOM
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}{}</svg>'
    ).format(
        _WIDTH,
        height,
        title,
        ". ".join(in_words(row) for row in rows) + ".",
        _grid(height),
        Markup("").join(_row(row, _TOP + _ROW * (place + 0.5)) for place, row in enumerate(rows)),
    )


def in_words(row: ShareRow) -> str:
    """Such as 'scratch: 3 of 4, 75 %, interval 19.4 % to 99.4 %'."""
    if row.value is None:
        return f"{shown(row.name)}: none labelled"
    return (
        f"{shown(row.name)}: {row.hits} of {row.total}, {percent(row.value)}, "
        f"interval {percent(row.low)} to {percent(row.high)}"
    )


def _across(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _grid(height: int) -> Markup:
    return Markup("").join(
        Markup(
            '<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>'
            '<text x="{x:.1f}" y="{}" text-anchor="middle">{}</text>'
        ).format(_TOP, height - _BOTTOM, height - 8, percent(share), x=_across(share))
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )


def _row(row: ShareRow, y: float) -> Markup:
    name = shown(row.name)
    short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    label = Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(_LEFT - 10, y + 4, short)
    if row.value is None:
        return label + Markup('<text x="{:.1f}" y="{:.1f}">–</text>').format(_across(0) + 6, y + 4)
    return label + Markup(
        '<g class="share"><title>{}</title><rect class="touch" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}"/>'
        '<line x1="{:.1f}" x2="{:.1f}" y1="{y:.1f}" y2="{y:.1f}"/><circle cx="{:.1f}" cy="{y:.1f}" r="5"/></g>'
    ).format(
        in_words(row),
        _across(0),
        y - _ROW / 2,
        _across(1) - _across(0),
        _ROW,
        _across(row.low),
        _across(row.high),
        _across(row.value),
        y=y,
    )
