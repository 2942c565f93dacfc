"""What a candidate gains or loses against its champion, with how sure that is, as inline SVG."""

from collections.abc import Sequence

from markupsafe import Markup

from reports.plain_text import shown
from reports.retraining.records import GateCheck
from reports.retraining.words import title_of

_DRAWN = ("AUROC", "AUPRO", "recall")
"""differences of shares: one scale fits all"""
_WIDTH, _ROW, _TOP, _BOTTOM = 560, 34, 26, 26
_LEFT, _RIGHT = 130, 24


def gate_chart(checks: Sequence[GateCheck]) -> Markup:
    """An SVG element: a dot at each difference on the line of its bounds, the largest loss allowed as a red mark.

    Empty where no difference is known.
    """
    rows = [one for name in _DRAWN for one in checks if one.name == name and one.difference is not None]
    if not rows:
        return Markup("")
    ends = (abs(v) for one in rows for v in (one.difference, one.low, one.high, one.margin) if v is not None)
    reach = 1.1 * (max(ends) or 1.0)  # nothing may be lost, and nothing is
    height = _TOP + _ROW * len(rows) + _BOTTOM
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img"><title>Candidate less champion</title>'
        "<desc>{}</desc>{}{}</svg>"
    ).format(
        _WIDTH,
        height,
        " ".join(f"{title_of(one)}: {shown(one.words)}." for one in rows),
        _axis(reach, height),
        Markup("").join(_row(one, _TOP + _ROW * (place + 0.5), reach) for place, one in enumerate(rows)),
    )


def _across(value: float, reach: float) -> float:
    return _LEFT + (value / reach + 1) / 2 * (_WIDTH - _LEFT - _RIGHT)


def _axis(reach: float, height: int) -> Markup:
    ends = ((-reach / 1.1, "worse"), (0.0, "the same"), (reach / 1.1, "better"))
    lines = Markup("").join(
        Markup('<text x="{:.1f}" y="14" text-anchor="middle">{}</text>').format(_across(value, reach), word)
        for value, word in ends
    )
    numbers = Markup("").join(
        Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{:+.3f}</text>').format(
            _across(value, reach), height - 8, value
        )
        for value, _ in ends
    )
    middle = Markup('<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>').format(
        _TOP - 6, height - _BOTTOM, x=_across(0, reach)
    )
    return lines + numbers + middle


def _row(check: GateCheck, y: float, reach: float) -> Markup:
    value = check.difference or 0.0
    low, high = (value if end is None else end for end in (check.low, check.high))
    return Markup(
        '<text x="{}" y="{:.1f}" text-anchor="end">{}</text>'
        '<line class="limit" x1="{m:.1f}" x2="{m:.1f}" y1="{:.1f}" y2="{:.1f}"/>'
        '<g class="share"><title>{}</title><rect class="touch" x="{}" y="{:.1f}" width="{}" height="{}"/>'
        '<line x1="{:.1f}" x2="{:.1f}" y1="{y:.1f}" y2="{y:.1f}"/><circle cx="{:.1f}" cy="{y:.1f}" r="5"/></g>'
    ).format(
        _LEFT - 12, y + 4, title_of(check), y - 11, y + 11, shown(check.words),
        _LEFT, y - _ROW / 2, _WIDTH - _LEFT - _RIGHT, _ROW,
        _across(low, reach), _across(high, reach), _across(value, reach), y=y, m=_across(-check.margin, reach),
    )  # fmt: skip
