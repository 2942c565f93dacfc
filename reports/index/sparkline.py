"""A share over days in the height of a line of text, as inline SVG."""

from collections.abc import Sequence
from datetime import date

from markupsafe import Markup

from reports import number_format

_WIDTH, _HEIGHT, _MARGIN = 150, 30, 4
_FULL_SCALE = 2.5
"""multiples of the reference that the picture is high at least, so that chance does not fill it"""


def sparkline(days: Sequence[date], shares: Sequence[float], reference: float | None, title: str) -> Markup:
    """A line through `shares`, each in [0, 1], over rising `days`; a dot on the last; `reference` as a dashed line.

    Days are as far apart as in the calendar. Every day has a text for the mouse. Empty without a day. Raises
    ValueError if there are not as many shares as days.
    """
    if len(days) != len(shares):
        raise ValueError(f"{len(days)} days and {len(shares)} shares make no line. Give a share for every day.")
    if not days:
        return Markup("")
    top = max(*shares, _FULL_SCALE * (reference or 0.0), 1e-9)
    first, span = days[0].toordinal(), max((days[-1] - days[0]).days, 1)
    across = [_MARGIN + (day.toordinal() - first) / span * (_WIDTH - 2 * _MARGIN) for day in days]
    if len(days) == 1:
        across = [_WIDTH - _MARGIN]
    points = [(x, _up(share, top)) for x, share in zip(across, shares, strict=True)]
    line = Markup('<polyline class="series" points="{}"/>').format(" ".join(f"{x:.1f},{y:.1f}" for x, y in points))
    dot = Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="2.6"/>').format(*points[-1])
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}{}{}{}</svg>'
    ).format(
        _WIDTH, _HEIGHT, title, _in_words(days, shares, reference), _reference(reference, top), line, dot,
        Markup("").join(_hover(*at) for at in zip(points, days, shares, strict=True)),
    )  # fmt: skip


def _up(share: float, top: float) -> float:
    return _HEIGHT - _MARGIN - share / top * (_HEIGHT - 2 * _MARGIN)


def _reference(reference: float | None, top: float) -> Markup:
    if reference is None:
        return Markup("")
    return Markup('<line class="threshold" x1="0" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>').format(
        _WIDTH, y=_up(reference, top)
    )


def _hover(point: tuple[float, float], day: date, share: float) -> Markup:
    return Markup('<circle class="hit" cx="{:.1f}" cy="{:.1f}" r="6"><title>{}</title></circle>').format(
        *point, f"{day.isoformat()}: {number_format.percent(share)}"
    )


def _in_words(days: Sequence[date], shares: Sequence[float], reference: float | None) -> str:
    """What a reader without eyes needs: the ends, and the largest."""
    highest = max(range(len(shares)), key=shares.__getitem__)
    told = (
        f"{number_format.counted(len(days), 'day')} from {days[0].isoformat()}: first "
        f"{number_format.percent(shares[0])}, last {number_format.percent(shares[-1])}, highest "
        f"{number_format.percent(shares[highest])} on {days[highest].isoformat()}"
    )
    return told + (f"; {number_format.percent(reference)} promised." if reference is not None else ".")
