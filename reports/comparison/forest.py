"""How far one method is ahead of each of the others, with intervals, as inline SVG."""

from collections.abc import Sequence

from markupsafe import Markup

from reports.comparison.results import ComparedMethod, Figure, Ranked
from reports.comparison.words import difference, signed
from reports.plain_text import shown
from reports.svg import Axes, Scale, interval, joined, line, picture, text

_WIDTH, _ROW, _TOP = 480, 40, 30
_LONGEST_NAME = 40
_NARROWEST = 0.01
"""half of the narrowest scale"""


def forest(rows: Sequence[tuple[ComparedMethod, Ranked | None]], reference: str, title: str) -> Markup:
    """An SVG element with a dot at the reference's lead over each other method, on the line of its interval.

    Empty if no difference is known. Names are cut to fit; tooltips have them whole.
    """
    known = [
        (method.method, ranked, ranked.ahead)
        for method, ranked in rows
        if ranked and ranked.ahead and ranked.ahead.value is not None
    ]
    if not known:
        return Markup("")
    ends = [abs(end) for _, _, ahead in known for end in (ahead.value, ahead.low, ahead.high) if end is not None]
    furthest = max(*ends, _NARROWEST)
    base = _TOP + _ROW * len(known)
    axes = Axes(Scale(-1.08 * furthest, 1.08 * furthest, 16, _WIDTH - 16), Scale(0, 1, base, _TOP))
    told = [f"{shown(reference)} above {shown(name)}: {difference(ranked)}" for name, ranked, _ in known]
    return picture(
        _WIDTH,
        base + 26,
        title,
        ". ".join(told) + ".",
        text("others ahead", axes.x.start, _TOP - 14, "start"),
        text(f"{_short(reference)} ahead", axes.x.end, _TOP - 14, "end"),
        axes.across(axes.x.ticks(), _tick, grid=True),
        line("axis", axes.x(0), base, axes.x(0), _TOP - 4),
        *(
            _row(name, ahead, words, axes.x, _TOP + _ROW * (place + 0.5))
            for place, ((name, _, ahead), words) in enumerate(zip(known, told, strict=True))
        ),
    )


def _row(name: str, ahead: Figure, words: str, x: Scale, y: float) -> Markup:
    value = ahead.value or 0.0
    low, high = (value if end is None else end for end in (ahead.low, ahead.high))
    named = text(_short(name), x.start, y - 9, kind="panel")
    return joined(named, interval(x, y + 4, _ROW, low, value, high, words))


def _tick(value: float) -> str:
    return "0" if abs(value) < 1e-9 else signed(value)


def _short(name: str) -> str:
    name = shown(name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
