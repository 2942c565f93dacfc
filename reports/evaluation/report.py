"""The evaluation: one HTML file that needs nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.card import Card, card_of, legend_ticks
from reports.evaluation import words as evaluation_words
from reports.evaluation.curve import Mark, curve_chart
from reports.evaluation.measures import EvaluatedCategory, EvaluationReport, Measure
from reports.evaluation.shares import share_chart
from reports.evaluation.words import WORDS, Words
from reports.heat_scale import Tick, gradient_css
from reports.histogram import Group, histogram
from reports.page import page
from reports.plain_text import shown
from reports.scored_image import ScoredImage
from reports.thumbnails import EMPTY, Thumbnail, thumbnails

MOST_BYTES = 4_900_000
"""of the whole file"""
_MOST_PICTURE_BYTES = 4_000_000


@dataclass(frozen=True)
class _Figure:
    """One row of a category's table."""

    measure: Measure
    words: Words
    value: str
    interval: str | None


@dataclass(frozen=True)
class _Gallery:
    """Images of one kind of outcome."""

    title: str
    meaning: str
    empty: str
    cards: list[Card]


@dataclass(frozen=True)
class _Section:
    """One category under one model version, ready to draw."""

    one: EvaluatedCategory
    anchor: str
    steps: list[str]
    figures: list[_Figure]
    glance: list[_Figure]
    histogram: Markup
    roc: Markup
    pro: Markup
    by_kind: Markup
    by_size: Markup
    galleries: list[_Gallery]
    ticks: list[Tick]


def render_evaluation_report(report: EvaluationReport) -> str:
    """The evaluation as one HTML document: style, drawings and pictures inside it, no script, no request to anywhere.

    At most MOST_BYTES as long as the text alone is: pictures are made smaller to fit, and left out where even that
    is too much. Texts from outside are escaped, and credentials in them are taken out.
    """
    images = [image for one in report.categories for image in _pictured(one)]
    bare = _render(report, [EMPTY] * len(images))
    space = min(_MOST_PICTURE_BYTES, MOST_BYTES - len(bare.encode("utf-8")))
    drawn = thumbnails(images, space) if images and space > 0 else [None] * len(images)
    if sum(thumbnail.size for thumbnail in drawn if thumbnail) > space:
        return _render(report, [None] * len(images))
    return _render(report, drawn)


def _render(report: EvaluationReport, drawn: Sequence[Thumbnail | None]) -> str:
    pictures = iter(drawn)
    sections = [
        _section(one, number, pictures, report.review_url) for number, one in enumerate(report.categories, start=1)
    ]
    return page(
        "evaluation.html",
        report=report,
        sections=sections,
        titles=[WORDS[name].title for name in evaluation_words.GLANCE],
        means=_glance(report.means),
        averaged=sum(one.in_mean for one in report.categories),
        colour_scale=Markup(gradient_css()),
        dash=evaluation_words.DASH,
    )


def _pictured(one: EvaluatedCategory) -> tuple[ScoredImage, ...]:
    return (*one.misses, *one.false_alarms, *one.borderline)


def _section(
    one: EvaluatedCategory, number: int, pictures: Iterator[Thumbnail | None], review_url: str | None
) -> _Section:
    name, galleries = shown(one.category), _galleries(one, pictures, review_url)
    return _Section(
        one=one,
        anchor=f"category-{number}",
        steps=evaluation_words.next_steps(one),
        figures=[_figure(measure) for measure in one.measures],
        glance=_glance(one.measures),
        histogram=histogram(
            Group("normal image", one.normal_scores, "bar normal"),
            Group("anomalous image", one.anomalous_scores, "bar anomalous"),
            one.threshold,
            f"Scores of {name} by label",
            mirrored=True,
        ),
        roc=_roc(one, name),
        pro=_pro(one, name),
        by_kind=share_chart(one.by_kind, f"Recall of {name} by kind of defect"),
        by_size=share_chart(one.by_size, f"Defects of {name} found, by size"),
        galleries=galleries,
        ticks=legend_ticks([card for gallery in galleries for card in gallery.cards]),
    )


def _figure(measure: Measure) -> _Figure:
    digits = evaluation_words.in_digits(measure)
    return _Figure(measure, WORDS[measure.name], digits, evaluation_words.interval_in_digits(measure))


def _glance(measures: Sequence[Measure]) -> list[_Figure]:
    by_name = {measure.name: measure for measure in measures}
    return [_figure(by_name[name]) for name in evaluation_words.GLANCE if name in by_name]


def _roc(one: EvaluatedCategory, name: str) -> Markup:
    if one.roc is None:
        return Markup("")
    recall, alarms = one.measure("recall"), one.measure("false_alarm_rate")
    marks = []
    if recall.value is not None and alarms.value is not None:
        words = f"threshold in force: false-alarm rate {alarms.value:.4g}, recall {recall.value:.4g}"
        marks.append(Mark(alarms.value, recall.value, words))
    return curve_chart(
        one.roc.x, one.roc.y, x_end=1.0, x_name="false-alarm rate", y_name="recall",
        title=f"ROC curve of {name}", marks=marks,
    )  # fmt: skip


def _pro(one: EvaluatedCategory, name: str) -> Markup:
    if one.pro is None:
        return Markup("")
    return curve_chart(
        one.pro.x, one.pro.y, x_end=float(one.pro.x[-1]), x_name="false-positive rate of pixels",
        y_name="mean share of a defect", title=f"PRO curve of {name}",
    )  # fmt: skip


def _galleries(
    one: EvaluatedCategory, pictures: Iterator[Thumbnail | None], review_url: str | None
) -> list[_Gallery]:
    wanted = (
        ("Worst misses", "Labelled anomalous, scored below the threshold; the lowest first. Is the label right? "
         "Can the defect be seen at the model's image size at all?", "No defect was missed.", one.misses),
        ("Worst false alarms", "Labelled normal, scored above the threshold; the highest first. Dirt, light or a new "
         "batch of material: if such parts are good, label them for training.", "No false alarm.", one.false_alarms),
        ("Borderline", "Decided rightly, but nearest to the threshold: what the next change of light would turn.",
         "None.", one.borderline),
    )  # fmt: skip
    return [
        _Gallery(title, meaning, empty, [card_of(image, next(pictures), review_url) for image in images])
        for title, meaning, empty, images in wanted
    ]
