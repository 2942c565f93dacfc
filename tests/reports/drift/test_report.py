"""The drift report: verdict first, every text escaped, complete in itself and never too large."""

import re
from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from reports.drift import report as drift_report
from reports.drift.markdown import render_drift_markdown
from reports.drift.report import MOST_BYTES, render_drift_report
from reports.drift.verdicts import CategorySection, GoldenFigures, NewThreshold
from reports.drift.words import worst_action
from reports.scored_image import ScoredImage
from tests.reports.drift_builders import FIRST, figures, model, report, section

EVIL = "<img src=x onerror=alert(1)>&\u202eevil\x00 aws_secret_access_key=abc"
VOID = {"meta", "link", "br", "wbr", "img", "hr", "input"}


class _Tags(HTMLParser):
    """Every opened tag is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


DRIFTING = {
    "action": "retrain",
    "causes": ("light or camera",),
    "changed_since": "2026-03-06",
    "stands": True,
    "p_value": 0.0002,
    "figures": figures(outside=(5, 6, 7, 8, 9)),
    "reasons": ("The scores have gone up.",),
}


def test_the_verdict_comes_first_and_the_most_severe_category_before_the_others() -> None:
    page = render_drift_report(
        report(section("calm"), section("light", **DRIFTING), section("bad", action="stop the line"))
    )
    assert page.index("Stop the line: bad. Retrain: light. Hold, no drift: 1 category.") < page.index("<table")
    assert re.findall(r'<h2 id="category-\d+-title">(\w+) ', page) == ["bad", "light", "calm"]
    assert "<title>Drift, 2026-03-01 to 2026-03-30: stop the line</title>" in page
    assert "check lamps" in page.lower() and "light or camera" in page


def test_every_figure_has_a_line_that_says_what_it_means_and_what_to_do() -> None:
    page = render_drift_report(report(section("light", **DRIFTING), section()))
    captions = re.findall(r"<figcaption[^>]*>(.*?)</figcaption>", page, re.S)
    assert len(captions) == page.count("<svg") == 22
    assert sum("within the expected range" in caption for caption in captions) == 11
    outside = [
        caption for caption in captions if "5 of 10 days outside the expected range, last on 2026-03-10" in caption
    ]
    assert len(outside) == 10
    assert all(len(caption.split(". ")) >= 3 for caption in outside)


def test_it_opens_without_a_network_or_a_script_and_is_well_formed() -> None:
    page = render_drift_report(report(section("light", **DRIFTING)))
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<link|@import|url\(|src=(?!.data:image)|https?://", page)
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert "prefers-color-scheme: dark" in page and "@media print" in page and "width=device-width" in page
    assert page.count("<title>") == page.count("</title>") > 10


def test_texts_from_outside_are_escaped_and_hold_no_credentials(scored_image: Callable[..., ScoredImage]) -> None:
    bad = section(
        EVIL, **{**DRIFTING, "reasons": (EVIL,), "message": EVIL, "model_version": EVIL},
        newest_alarms=(("2026-03-10", scored_image(image_key=f"images/cloth/2026-03-10/{EVIL}.png", picture=None)),),
    )  # fmt: skip
    silent = section("silent", action=None, message=EVIL, figures=(), alarms=None, p_value=None)
    whole = report(bad, silent, failed=((EVIL, EVIL),), store_uri=f"s3://user:word@plant/{EVIL}", run_id=EVIL)
    for text in (render_drift_report(whole), render_drift_markdown(whole)):
        assert "<img" not in text and "\u202e" not in text and "\x00" not in text
        assert "=abc" not in text and "user:word" not in text
    assert "images/<wbr>cloth/<wbr>" in render_drift_report(whole)


def test_alarms_are_shown_where_something_is_to_be_done(scored_image: Callable[..., ScoredImage]) -> None:
    alarms = (("2026-03-10", scored_image(score=7.5)), ("2026-03-09", scored_image(picture=None)))
    drifting, calm = section("light", **DRIFTING, newest_alarms=alarms), section("calm", newest_alarms=alarms)
    page = render_drift_report(report(drifting, calm))
    assert page.count("Newest alarms") == 1
    assert page.count('src="data:image/webp') == 2 and page.count("no picture") == 1
    assert re.search(r"score 7\.5.*threshold.*2026-03-10.*no picture.*2026-03-09", page, re.S)


def test_pictures_take_no_more_than_the_space_left(
    scored_image: Callable[..., ScoredImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = tuple(("2026-03-10", scored_image(image_key=f"{i}.png")) for i in range(12))
    whole = report(section("light", **DRIFTING, newest_alarms=alarms))
    everything = render_drift_report(whole)
    assert everything.count('src="data:image/webp') == 24
    bare = len(re.sub(r'src="data:[^"]*"', "", everything).encode())
    of_pictures = len(everything.encode()) - bare
    for space, pictures in ((int(0.6 * of_pictures), 24), (500, 0)):
        monkeypatch.setattr(drift_report, "MOST_BYTES", bare + space)
        page = render_drift_report(whole)
        assert len(page.encode()) < bare + space
        assert page.count('src="data:image/webp') == pictures


def test_a_model_change_is_told_and_drawn() -> None:
    later = {"first_day": FIRST + timedelta(days=10), "last_day": FIRST + timedelta(days=19)}
    two = CategorySection("cloth", (model(**DRIFTING), model(model_version="v2", figures=figures(start=10), **later)))
    page = render_drift_report(report(two))
    assert "2026-03-01 to 2026-03-10: v1-abc (padim), 800 images, verdict retrain" in page
    assert page.count(">new model</text>") == 10
    assert worst_action(report(two)) == "hold"


def test_figures_of_golden_images_threshold_and_discovery_are_told() -> None:
    page = render_drift_report(
        report(
            section(golden=GoldenFigures(24, 3, 0.5, 0.01), new_threshold=NewThreshold(4.5, 7, 1), **DRIFTING),
            section("other"),
        )
    )
    assert "3 of 24" in page and "the largest change is 0.5 standard deviations, 0.01 is allowed" in page
    assert "from these days alone: 4.5, 7 alarms would go, 1 would come" in page
    assert "corrected for 2 models tested at once" in page
    assert "the scores do not differ significantly from those of held-out good images, corrected for 2" in page


def test_unscored_images_and_silence_are_said() -> None:
    page = render_drift_report(
        report(section(unscored=12), section("few", action=None, message="5 are too few.", figures=()))
    )
    assert "12 of 800 images have no score" in page
    assert "5 are too few." in page and "No verdict: few." in page
    empty = render_drift_report(report(categories=()))
    assert "No category has a complete day in this window" in empty
    assert "Failed with an error: x v1." in render_drift_report(report(failed=(("x v1", "card is gone"),)))


@pytest.mark.parametrize(
    ("most", "drawings", "texts", "words"),
    [
        (5_000_000, 110, 10 * 20 * 10, None),
        (400_000, 110, 10, None),
        (80_000, 11, 10, "Drawings of categories on hold are left out"),
        (45_000, 0, 0, "Drawings are left out"),
    ],
)
def test_however_much_there_is_it_stays_below_the_limit(
    most: int, drawings: int, texts: int, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_report, "MOST_BYTES", most)
    drifting = {**DRIFTING, "figures": figures(20, outside=(19,))}
    calm = (section(f"calm{i}", figures=figures(20)) for i in range(9))
    page = render_drift_report(report(section("light", **drifting), *calm))
    assert len(page.encode()) < most
    assert (page.count("<svg"), page.count('class="hit"')) == (drawings, texts)
    assert ("are left out, because" in page) == (words is not None)
    assert words is None or words in page


def test_a_month_of_twenty_categories_stays_below_five_megabytes_whole() -> None:
    page = render_drift_report(report(*(section(f"c{i}", figures=figures(30, outside=(29,))) for i in range(20))))
    assert len(page.encode()) < MOST_BYTES == 5_000_000
    assert page.count('class="hit"') == 20 * 30 * 10


def test_markdown_has_table_reasons_and_failures() -> None:
    text = render_drift_markdown(report(section("light", **DRIFTING), section("a|b"), failed=(("x v1", "gone"),)))
    assert "| light | retrain | light or camera | 2026-03-06 | 800 | 2\u202f% | 0 | v1-abc padim |" in text
    assert "a\\|b" in text
    assert "- The scores have gone up." in text and "## a" not in text
    assert "- x v1: gone" in text


def test_the_verdict_recalibrate_names_the_command() -> None:
    changed = {**DRIFTING, "action": "recalibrate", "changed_since": "2026-03-06"}
    for text in (
        render_drift_report(report(section("light", **changed))),
        render_drift_markdown(report(section("light", **changed))),
    ):
        assert "rd-inspect recalibrate --category light --from 2026-03-06 --unlabelled" in text
