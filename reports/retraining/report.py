"""The retraining report of a category as one self-contained HTML file."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports import number_format
from reports.card import card_of, legend_ticks
from reports.heat_scale import gradient_css
from reports.page import page
from reports.retraining import words as retraining_words
from reports.retraining.decision import GateCheck, LeftOutGroup, RetrainingReport
from reports.retraining.gate_chart import gate_chart
from reports.thumbnails import EMPTY, Thumbnail, thumbnails

MOST_BYTES = 4_900_000
"""of the whole file"""
_MOST_PICTURE_BYTES = 2_500_000


@dataclass(frozen=True)
class _Check:
    """One row of the gate's table, ready to show."""

    check: GateCheck
    title: str
    meaning: str
    verdict: str
    tone: str
    champion: str
    candidate: str
    difference: str
    bounds: str | None
    margin: str


@dataclass(frozen=True)
class _Group:
    """Normal images that are not used for one reason, ready to show."""

    group: LeftOutGroup
    title: str
    meaning: str
    more: int
    """number of those not listed"""


def render_retraining_report(report: RetrainingReport) -> str:
    """The report as one HTML document with style, drawings and images inside, without script or outside request.

    Below MOST_BYTES: images are shrunk, or left out. Texts from outside are escaped, credentials in them removed.
    """
    without: list[None] = [None] * len(report.quarantined)
    bare = _render(report, [EMPTY] * len(report.quarantined))
    space = min(_MOST_PICTURE_BYTES, MOST_BYTES - len(bare.encode("utf-8")))
    if not report.quarantined or space <= 0:
        return _render(report, without)
    drawn = thumbnails(report.quarantined, space)
    whole = _render(report, drawn)
    return whole if len(whole.encode("utf-8")) <= MOST_BYTES else _render(report, without)


def _render(report: RetrainingReport, drawn: Sequence[Thumbnail | None]) -> str:
    checks = report.judgement.checks if report.judgement else ()
    cards = [
        card_of(image, thumbnail, report.review_url)
        for image, thumbnail in zip(report.quarantined, drawn, strict=True)
    ]
    return page(
        "retraining_report.html",
        report=report,
        tone=retraining_words.TONES[report.outcome],
        headline=retraining_words.headline(report),
        steps=retraining_words.steps(report),
        checks=[_check(check) for check in checks],
        chart=gate_chart(checks),
        facts=_facts(report),
        groups=[_group(group) for group in report.groups],
        cards=cards,
        ticks=legend_ticks(cards),
        colour_scale=Markup(gradient_css()),
    )


def _check(check: GateCheck) -> _Check:
    words = retraining_words
    verdict, tone = words.verdict_of(check)
    return _Check(
        check, words.title_of(check), words.meaning_of(check), verdict, tone,
        words.figure(check, check.champion), words.figure(check, check.candidate),
        words.difference(check), words.bounds(check), words.margin(check),
    )  # fmt: skip


def _group(group: LeftOutGroup) -> _Group:
    title, meaning = retraining_words.STATES.get(group.state, (group.state, ""))
    return _Group(group, title, meaning, group.count - len(group.rows))


def _facts(report: RetrainingReport) -> list[tuple[str, str, str]]:
    """(name, value, meaning) of the candidate's images and training."""
    count, candidate = number_format.count, report.candidate
    facts = [
        ("New normals", count(report.new), f"{count(report.above_threshold)} of them above the champion's threshold"),
        ("Old normals", count(report.replayed), "the champion's images, used again so that nothing is forgotten"),
    ]
    if candidate is None:
        return facts
    method = candidate.method
    if method != candidate.champion_method:
        method += f" in place of {candidate.champion_method}"
    start = f"from the weights of {candidate.started_from}" if candidate.started_from else "from scratch"
    return [
        *facts,
        (
            "Training",
            count(candidate.train),
            f"images; {method}: {candidate.fit}, {start} in {number_format.duration(candidate.seconds)}",
        ),
        (
            "Early stop",
            count(candidate.early_stop),
            "images that decide when to stop, and are not trained on",
        ),
        ("Calibration", count(candidate.calibration), "images that set the threshold"),
        (
            "Held out",
            count(candidate.test),
            "images that the candidate never saw; the new ones among them judge it",
        ),
        (
            "Threshold",
            number_format.score(candidate.threshold),
            f"the champion's is {number_format.score(candidate.champion_threshold)}; scores of two models are not "
            "comparable",
        ),
    ]
