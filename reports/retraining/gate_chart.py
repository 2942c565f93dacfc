"""Gains and losses of a candidate against its champion, with their bounds, as inline SVG."""

from collections.abc import Sequence

from markupsafe import Markup

from reports.plain_text import shown
from reports.retraining.decision import GateCheck
from reports.retraining.words import title_of
from reports.svg import Axes, Scale, interval, joined, line, picture, text

_DRAWN = ("AUROC", "AUPRO", "recall")
"""differences of shares: one scale fits all"""
_WIDTH, _ROW, _TOP = 560, 34, 26


def gate_chart(checks: Sequence[GateCheck]) -> Markup:
    """An SVG element with a dot at each difference on the line of its bounds; the largest loss allowed is a red mark.

    Empty if no difference is known.
    """
    rows = [check for name in _DRAWN for check in checks if check.name == name and check.difference is not None]
    if not rows:
        return Markup("")
    ends = (abs(v) for row in rows for v in (row.difference, row.low, row.high, row.margin) if v is not None)
    furthest = max(ends) or 1.0  # no loss is allowed, and there is none
    base = _TOP + _ROW * len(rows)
    axes = Axes(Scale(-1.1 * furthest, 1.1 * furthest, 130, _WIDTH - 24), Scale(0, 1, base, _TOP))
    words = {-furthest: "worse", 0.0: "the same", furthest: "better"}
    return picture(
        _WIDTH,
        base + 26,
        "Candidate minus champion",
        " ".join(f"{title_of(row)}: {shown(row.words)}." for row in rows),
        *(text(label, axes.x(value), _TOP - 12, "middle") for value, label in words.items()),
        axes.across(words, "{:+.3f}".format),
        line("axis", axes.x(0), base, axes.x(0), _TOP - 6),
        *(_row(row, axes.x, _TOP + _ROW * (place + 0.5)) for place, row in enumerate(rows)),
    )


def _row(check: GateCheck, x: Scale, y: float) -> Markup:
    value, margin = check.difference or 0.0, x(-check.margin)
    low, high = (value if end is None else end for end in (check.low, check.high))
    return joined(
        text(title_of(check), x.start - 12, y + 4, "end"),
        line("limit", margin, y - 11, margin, y + 11),
        interval(x, y, _ROW, low, value, high, shown(check.words)),
    )
