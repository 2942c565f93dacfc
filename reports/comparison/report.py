"""A comparison of methods as one self-contained HTML file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.comparison import words
from reports.comparison.forest import forest
from reports.comparison.pictures import Strip, strips
from reports.comparison.results import ComparedMethod, ComparisonReport, DisagreedImage, Ranked, Share
from reports.heat_scale import Tick, gradient_css, ticks
from reports.page import page
from reports.plain_text import shown
from reports.review_address import picture_address

MOST_BYTES = 4_900_000
"""of the whole file"""
_MOST_PICTURE_BYTES = 4_000_000


@dataclass(frozen=True)
class _Cell:
    """A cell of a table, ready to show."""

    title: str
    value: str
    small: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Row:
    """One method, or one group of images, ready to show."""

    name: str
    cells: list[_Cell]
    state: tuple[str, str] | None = None
    """(words, tone)"""


@dataclass(frozen=True, eq=False)
class _Strip:
    """One image with all maps, ready to show."""

    image: DisagreedImage
    pictures: Strip
    review: str | None


def render_comparison_report(report: ComparisonReport) -> str:
    """The comparison as one HTML document with style, drawings and images inside, without script or outside request.

    At most MOST_BYTES unless the text alone is longer: images are shrunk, or left out. Texts from outside are
    escaped, credentials in them removed.
    """
    bare = len(_render(report, strips(report.disagreed, 0)).encode("utf-8"))
    return _render(report, strips(report.disagreed, max(0, min(_MOST_PICTURE_BYTES, MOST_BYTES - bare))))


def _render(report: ComparisonReport, drawn: Sequence[Strip]) -> str:
    kinds = _groups(report, lambda method: method.by_kind)
    by_choice = [_choosing(method) for method in report.methods if method.choosing]
    return page(
        "comparison_report.html",
        report=report,
        tone=words.tone(report),
        headline=words.headline(report),
        steps=words.steps(report),
        drawn=report.counts.drawn > 0,
        columns=words.COLUMNS,
        figures=[_figures(method, report) for method in report.methods],
        costs=[_Row(method.method, [_Cell(*cost) for cost in words.costs(method)]) for method in report.methods],
        chosen=by_choice,
        auroc=_forest(report, lambda method: method.auroc, "Image AUROC"),
        precision=_forest(report, lambda method: method.average_precision, "Image AP"),
        kinds=kinds if len(kinds) > 1 else [],  # one kind alone is the recall of all
        sizes=_groups(report, lambda method: method.by_size),
        strips=[_strip(image, one, report) for image, one in zip(report.disagreed, drawn, strict=True)],
        ticks=_ticks(drawn),
        colour_scale=Markup(gradient_css()),
    )


def _figures(method: ComparedMethod, report: ComparisonReport) -> _Row:
    named = ("named", "good") if method.method == report.named else None
    shares = (method.recall, method.false_alarms, method.undecided)
    values = [
        *(_ranked(ranked, method) for ranked in (method.auroc, method.average_precision)),
        *((words.figure(value), ()) for value in (method.pixel_auroc, method.aupro_30, method.aupro_05)),
        *((words.share(one), words.share_counts(one)) for one in shares),
    ]
    cells = [_Cell(title, *value) for (title, _), value in zip(words.COLUMNS, values, strict=True)]
    return _Row(method.method, cells, named)


def _ranked(ranked: Ranked | None, method: ComparedMethod) -> tuple[str, tuple[str, ...]]:
    if ranked is None:
        return words.DASH, ()
    return words.figure(ranked.figure), _small(words.interval(ranked.figure), words.spread(ranked, method.seeds))


def _small(*told: str | None) -> tuple[str, ...]:
    return tuple(one for one in told if one)


def _choosing(method: ComparedMethod) -> _Row:
    """Of a method with a figure on the half that chooses."""
    value, small = _ranked(method.choosing, method)
    ahead = words.difference(method.choosing) if method.choosing else words.DASH
    speed, training = (dict(words.costs(method))[name] for name in ("Images a processor second", "Training"))
    cells = [_Cell("Image AUROC", value, small), _Cell("Best minus this", ahead)]
    state = words.STANDINGS[method.standing] if method.standing else None
    return _Row(
        method.method, [*cells, _Cell("Images a processor second", speed), _Cell("Training", training)], state
    )


def _forest(report: ComparisonReport, of: Callable[[ComparedMethod], Ranked | None], name: str) -> Markup:
    rows = [(method, of(method)) for method in report.methods]
    return forest(rows, report.reference, f"{name}: {shown(report.reference)} minus each other method")


def _groups(report: ComparisonReport, of: Callable[[ComparedMethod], tuple[Share, ...]]) -> list[_Row]:
    """A row a group, a cell a method; groups without an image are left out."""
    tables = [(method.method, of(method)) for method in report.methods]
    rows = []
    for place, group in enumerate(tables[0][1]):
        if group.total:
            cells = [_Cell(name, words.share(shares[place])) for name, shares in tables]
            rows.append(_Row(group.name, [_Cell("Images", str(group.total)), *cells]))
    return rows


def _strip(image: DisagreedImage, pictures: Strip, report: ComparisonReport) -> _Strip:
    review = picture_address(report.review_url, image.image_key) if report.review_url and not image.drawn else None
    return _Strip(image, pictures, review)


def _ticks(drawn: Sequence[Strip]) -> list[Tick]:
    """The legend's ticks; empty if no map is drawn."""
    return ticks(None, None) if any(one for strip in drawn for one in strip.maps) else []
