"""A share over days as a small inline SVG."""

from collections.abc import Sequence
from datetime import date

from markupsafe import Markup

from reports import number_format
from reports.svg import Axes, Scale, element, hit, picture

_WIDTH, _HEIGHT, _MARGIN = 150, 30, 4
_FULL_SCALE = 2.5
"""smallest height in multiples of the reference, so that chance does not fill the picture"""


def sparkline(days: Sequence[date], shares: Sequence[float], reference: float | None, title: str) -> Markup:
    """A line through `shares`, each in [0, 1], over rising `days`; a dot on the last; `reference` as a dashed line.

    The x axis is the calendar. Every day has a tooltip. Empty without a day. Raises ValueError if there are not as
    many shares as days.
    """
    if len(days) != len(shares):
        raise ValueError(f"{len(days)} days and {len(shares)} shares make no line. Give a share for every day.")
    if not days:
        return Markup("")
    top = max(*shares, _FULL_SCALE * (reference or 0.0), 1e-9)
    numbers = [day.toordinal() for day in days]
    first = min(numbers[0], numbers[-1] - 1)  # a single day stands at the right
    axes = Axes(Scale(first, numbers[-1], _MARGIN, _WIDTH - _MARGIN), Scale(0, top, _HEIGHT - _MARGIN, _MARGIN))
    return picture(
        _WIDTH,
        _HEIGHT,
        title,
        _in_words(days, shares, reference),
        Markup("") if reference is None else axes.level("threshold", reference),
        axes.polyline("series", numbers, shares),
        element("circle", class_="dot", cx=axes.x(numbers[-1]), cy=axes.y(shares[-1]), r=2.6),
        *(
            hit(axes.x(day.toordinal()), axes.y(share), 6, f"{day.isoformat()}: {number_format.percent(share)}")
            for day, share in zip(days, shares, strict=True)
        ),
        kind="spark",
    )


def _in_words(days: Sequence[date], shares: Sequence[float], reference: float | None) -> str:
    """The text for screen readers: first, last and highest share."""
    highest = max(range(len(shares)), key=shares.__getitem__)
    words = (
        f"{number_format.counted(len(days), 'day')} from {days[0].isoformat()}: first "
        f"{number_format.percent(shares[0])}, last {number_format.percent(shares[-1])}, highest "
        f"{number_format.percent(shares[highest])} on {days[highest].isoformat()}"
    )
    return words + (f"; {number_format.percent(reference)} promised." if reference is not None else ".")
