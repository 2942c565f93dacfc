"""The evaluation as one self-contained HTML file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.card import Card, card_of, legend_ticks
from reports.evaluation import words as evaluation_words
from reports.evaluation.curve import Mark, curve_chart
from reports.evaluation.measures import EvaluatedCategory, EvaluationReport, Measure
from reports.evaluation.shares import share_chart
from reports.evaluation.threshold_chart import threshold_chart
from reports.evaluation.threshold_words import in_sentences, setting
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
    """The images of one outcome, such as misses."""

    title: str
    meaning: str
    empty: str
    cards: list[Card]


@dataclass(frozen=True)
class _Section:
    """One category under one model version, ready to draw."""

    evaluated: EvaluatedCategory
    anchor: str
    steps: list[str]
    figures: list[_Figure]
    glance: list[_Figure]
    histogram: Markup
    threshold: Markup
    recommended: list[str]
    """in sentences"""
    setting: str | None
    """lines to copy; None if nothing is to be changed"""
    roc: Markup
    pro: Markup
    by_kind: Markup
    by_size: Markup
    galleries: list[_Gallery]
    ticks: list[Tick]


def render_evaluation_report(report: EvaluationReport) -> str:
    """The evaluation as one HTML document with style, drawings and images inside, without script or outside request.

    At most MOST_BYTES unless the text alone is longer: images are shrunk, or left out. Texts from outside are
    escaped, credentials in them removed.
    """
    images = [image for category in report.categories for image in _pictured(category)]
    bare = _render(report, [EMPTY] * len(images))
    space = min(_MOST_PICTURE_BYTES, MOST_BYTES - len(bare.encode("utf-8")))
    drawn = thumbnails(images, space) if images and space > 0 else [None] * len(images)
    if sum(thumbnail.size for thumbnail in drawn if thumbnail) > space:
        return _render(report, [None] * len(images))
    return _render(report, drawn)


def _render(report: EvaluationReport, drawn: Sequence[Thumbnail | None]) -> str:
    pictures = iter(drawn)
    sections = [
        _section(evaluated, number, pictures, report.review_url)
        for number, evaluated in enumerate(report.categories, start=1)
    ]
    return page(
        "evaluation.html",
        report=report,
        sections=sections,
        titles=[WORDS[name].title for name in evaluation_words.GLANCE],
        means=_glance(report.means),
        averaged=sum(category.in_mean for category in report.categories),
        colour_scale=Markup(gradient_css()),
        dash=evaluation_words.DASH,
    )


def _pictured(evaluated: EvaluatedCategory) -> tuple[ScoredImage, ...]:
    return (*evaluated.misses, *evaluated.false_alarms, *evaluated.borderline)


def _steps(evaluated: EvaluatedCategory, anchor: str) -> list[str]:
    """With a link from the recommended alpha to what it does."""
    recommended = evaluation_words.recommended_step(evaluated)
    linked = Markup('{} <a href="#{}-threshold">What it would do</a>').format(recommended, anchor)
    return [linked if step == recommended else step for step in evaluation_words.next_steps(evaluated)]


def _section(
    evaluated: EvaluatedCategory, number: int, pictures: Iterator[Thumbnail | None], review_url: str | None
) -> _Section:
    name, galleries = shown(evaluated.category), _galleries(evaluated, pictures, review_url)
    anchor = f"category-{number}"
    return _Section(
        evaluated=evaluated,
        anchor=anchor,
        steps=_steps(evaluated, anchor),
        figures=[_figure(measure) for measure in evaluated.measures],
        glance=_glance(evaluated.measures),
        histogram=histogram(
            Group("normal image", evaluated.normal_scores, "bar normal"),
            Group("anomalous image", evaluated.anomalous_scores, "bar anomalous"),
            evaluated.threshold,
            f"Scores of {name} by label",
            mirrored=True,
        ),
        threshold=_threshold(evaluated, name),
        recommended=in_sentences(evaluated.recommended) if evaluated.recommended else [],
        setting=_setting(evaluated),
        roc=_roc(evaluated, name),
        pro=_pro(evaluated, name),
        by_kind=share_chart(evaluated.by_kind, f"Recall of {name} by kind of defect"),
        by_size=share_chart(evaluated.by_size, f"Defects of {name} found, by size"),
        galleries=galleries,
        ticks=legend_ticks([card for gallery in galleries for card in gallery.cards]),
    )


def _figure(measure: Measure) -> _Figure:
    digits = evaluation_words.in_digits(measure)
    return _Figure(measure, WORDS[measure.name], digits, evaluation_words.interval_in_digits(measure))


def _glance(measures: Sequence[Measure]) -> list[_Figure]:
    by_name = {measure.name: measure for measure in measures}
    return [_figure(by_name[name]) for name in evaluation_words.GLANCE if name in by_name]


def _threshold(evaluated: EvaluatedCategory, name: str) -> Markup:
    if evaluated.curves is None:
        return Markup("")
    return threshold_chart(evaluated.curves, evaluated.recommended, f"Outcomes of {name} by threshold")


def _setting(evaluated: EvaluatedCategory) -> str | None:
    recommended = evaluated.recommended
    if recommended is None or recommended.alpha is None or recommended.in_force or not evaluated.in_mean:
        return None  # the command would set it for the latest version, not for an earlier one
    return setting(evaluated.category, recommended.alpha)


def _roc(evaluated: EvaluatedCategory, name: str) -> Markup:
    if evaluated.roc is None:
        return Markup("")
    recall, alarms = evaluated.measure("recall"), evaluated.measure("false_alarm_rate")
    marks = []
    if recall.value is not None and alarms.value is not None:
        words = f"threshold in force: false-alarm rate {alarms.value:.4g}, recall {recall.value:.4g}"
        marks.append(Mark(alarms.value, recall.value, words))
    return curve_chart(
        evaluated.roc.x, evaluated.roc.y, x_end=1.0, x_name="false-alarm rate", y_name="recall",
        title=f"ROC curve of {name}", marks=marks,
    )  # fmt: skip


def _pro(evaluated: EvaluatedCategory, name: str) -> Markup:
    if evaluated.pro is None:
        return Markup("")
    return curve_chart(
        evaluated.pro.x, evaluated.pro.y, x_end=float(evaluated.pro.x[-1]), x_name="false-positive rate of pixels",
        y_name="mean share of a defect", title=f"PRO curve of {name}",
    )  # fmt: skip


def _galleries(
    evaluated: EvaluatedCategory, pictures: Iterator[Thumbnail | None], review_url: str | None
) -> list[_Gallery]:
    wanted = (
        ("Worst misses", "Labelled anomalous, scored below the threshold; lowest scores first. Is the label right? "
         "Is the defect visible at the model's image size?", "No anomalous image was missed.", evaluated.misses),
        ("Worst false alarms", "Labelled normal, scored above the threshold; highest scores first. Typical causes "
         "are dirt, light and a new batch of material. If such parts are good, label them for training.",
         "There are no false alarms.", evaluated.false_alarms),
        ("Borderline", "Correct decisions nearest to the threshold: a small change of light would reverse them.",
         "There are no correct decisions.", evaluated.borderline),
    )  # fmt: skip
    return [
        _Gallery(title, meaning, empty, [card_of(image, next(pictures), review_url) for image in images])
        for title, meaning, empty, images in wanted
    ]
