"""The retraining report: decision first, every check with its meaning, every text escaped, complete in itself."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from reports.retraining import report as retraining_report
from reports.retraining import words as retraining_words
from reports.retraining.decision import (
    CHAMPION_STAYS,
    LEFT,
    OUTCOMES,
    OVERTAKEN,
    PROMOTED,
    SET_ASIDE,
    CandidateFigures,
    GateCheck,
    Judgement,
    LeftOutGroup,
    NormalRow,
    NormalsOfDay,
    RetrainingReport,
)
from reports.retraining.gate_chart import gate_chart
from reports.retraining.report import render_retraining_report
from reports.scored_image import ScoredImage
from tests.reports.html_page import Page, words

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 3, 5, tzinfo=UTC)
EVIL = "<img src=x onerror=alert(1)>&\u202eevil\x00 aws_secret_access_key=abc"
CHECKS = (
    GateCheck("AUROC", 0.95, 0.97, 0.02, 0.004, 0.036, 0.01, True, "better by far", True),
    GateCheck("AUPRO", 0.85, 0.84, -0.01, -0.03, 0.01, 0.02, False, "at worst -0.03", False),
    GateCheck("recall", 0.90, 0.92, 0.02, -0.02, 0.06, 0.05, True, "as good", False),
    GateCheck("false alarms", 0.02, 0.01, -0.01, 0.001, 0.03, 0.01, True, "as promised", False),
    GateCheck("promised rate", 0.02, 0.01, -0.01, 0.001, 0.03, 0.05, True, "up to 3 % may", False),
    GateCheck("defect kinds", 0.8, 0.8, 0.0, None, None, 0.1, True, "hole 80 % to 80 %", False),
    GateCheck("seconds an image", 0.02, 0.021, 0.001, None, None, 1.25, True, "1.05 times", False),
    GateCheck("size of the weights", 10.8e6, 10.8e6, 0, None, None, 1.1, True, "1 times", False),
    GateCheck("golden images", None, None, None, None, None, 0.01, None, "there are none", False),
)


def judgement(*checks: GateCheck) -> Judgement:
    kinds, sources = (("hole", 20), ("stain", 12)), (("evaluation", 60), ("held out", 3))
    return Judgement("because", checks or CHECKS, 40, 32, 30, 70, 0, kinds, sources, 1, (("images/a.png", "gone"),))


def group(state: str, count: int = 2, key: str = "images/cloth/2026-03-02/a.png") -> LeftOutGroup:
    return LeftOutGroup(state, count, (NormalRow(key, DAY, "ada", NOW, f"why it is {state}"),))


def suspect(number: int = 0, **fields: object) -> ScoredImage:
    picture = np.random.default_rng(number).integers(0, 255, (80, 80, 3), dtype=np.uint8)
    given = {"image_key": f"images/cloth/{number}.png", "score": 9.0, "threshold": 3.0, "picture": picture}
    drawn = {"anomaly_map": np.random.default_rng(number).random((20, 20)), "pixel_threshold": 3.0}
    return ScoredImage(**{**given, **drawn, **fields})


def report(**fields: object) -> RetrainingReport:
    candidate = CandidateFigures(
        "v2-def", "padim", "v1-abc", 60, 8, 20, 10, "300 steps", 65.0, 3.4, 3.1, "reverse_distillation"
    )
    return RetrainingReport(
        **{
            "category": "cloth", "run_date": DAY, "run_id": "run-1", "store_uri": "s3://plant", "made_at": NOW,
            "outcome": PROMOTED, "words": "not worse in anything, and better in AUROC", "champion": "v1-abc",
            "new": 30, "replayed": 68, "above_threshold": 3, "groups": (group("quarantined"), group("too old", 9)),
            "days": (NormalsOfDay(DAY, 30, 0, 11, ("ada", "bob")),), "quarantined": (suspect(),),
            "candidate": candidate, "judgement": judgement(), "software": {"python": "3.11.7"}, **fields,
        }
    )  # fmt: skip


def left() -> RetrainingReport:
    why = "3 new normals of cloth can be used and 16 are needed"
    return report(outcome=LEFT, words=why, candidate=None, judgement=None, quarantined=(), new=3)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_decision_comes_first_with_what_to_do_next(outcome: str) -> None:
    one = left() if outcome == LEFT else report(outcome=outcome)
    page = render_retraining_report(one)
    assert f"<title>Retraining of cloth, 2026-03-02: {outcome}</title>" in page
    assert page.index(retraining_words.headline(one)) < page.index("What to do next") < page.index("<table")
    assert one.words in words(page)
    expected = {
        PROMOTED: "v2-def is in force, in place of v1-abc. ", CHAMPION_STAYS: "v1-abc stays in force. ",
        OVERTAKEN: "another model was promoted meanwhile", LEFT: "no candidate was made",
    }  # fmt: skip
    assert expected[outcome] in words(page)


def test_every_check_has_its_numbers_its_verdict_and_its_meaning() -> None:
    text = words(render_retraining_report(report(outcome=CHAMPION_STAYS)))
    for check in CHECKS:
        title, meaning = retraining_words.CHECKS[check.name]
        assert f"{title} {retraining_words.verdict_of(check)[0]}" in text
        assert f"{meaning} {check.words}" in text
    assert "0.950 0.970 +0.020 +0.004 to +0.036 loss up to 0.010" in text
    assert "90\u202f% 92\u202f% +2.0 points −2.0 points to +6.0 points loss up to 5.0 points" in text
    assert "candidate 0.10\u202f% to 3\u202f% 1\u202f% promised" in text
    assert "candidate 0.10\u202f% to 3\u202f% up to 5\u202f%" in text
    assert "20.0 ms 21.0 ms ×1.05 up to ×1.25" in text and "10.8 MB" in text
    assert "Failed: AUPRO. " in text


def test_the_verdict_of_a_check() -> None:
    dearer = GateCheck("seconds an image", 0.02, 2.0, 1.98, None, None, 1.25, None, "100 times", False)
    assert (retraining_words.verdict_of(dearer)[0], retraining_words.margin(dearer)) == (
        "for information",
        "no limit",
    )
    said = [retraining_words.verdict_of(check)[0] for check in CHECKS]
    assert said == ["better", "failed", *["passed"] * 6, "not known"]


def test_what_to_do_depends_on_why_the_champion_stays() -> None:
    untold = replace(CHECKS[0], passed=None)
    few = report(outcome=CHAMPION_STAYS, judgement=judgement(untold), groups=())
    assert retraining_words.steps(few) == [
        "Too few images judge the candidate. Label more good parts and defects of the last days with the purpose "
        "evaluation, and retrain."
    ]
    unshown = replace(CHECKS[4], passed=None, words="cannot be shown: 59 normals without an alarm would show it")
    told = report(outcome=CHAMPION_STAYS, judgement=judgement(unshown), groups=())
    assert retraining_words.steps(told) == [
        "Promised rate cannot be shown: 59 normals without an alarm would show it. Label more good images of the "
        "last days with the purpose evaluation, and retrain. Or look at the images, and if you trust the candidate, "
        "promote it by name, which keeps this sentence: rd-inspect promote --category cloth --version v2-def"
    ]
    assert "Promised rate cannot be shown" in words(render_retraining_report(told))
    worse = report(outcome=CHAMPION_STAYS, judgement=judgement(unshown, CHECKS[1]), groups=())
    assert ["do not promote it by hand" in step for step in retraining_words.steps(worse)] == [True]
    same = report(outcome=CHAMPION_STAYS, judgement=judgement(replace(CHECKS[2])), groups=())
    assert retraining_words.steps(same)[0].startswith("Nothing to do")
    asked = retraining_words.steps(report(groups=(group("quarantined", 1), group("contradiction", 3))))
    assert asked[-2:] == [
        "Look at the 1 quarantined image below and correct wrong labels.",
        "Settle the labels of 3 images that people disagree on.",
    ]
    overtaken = retraining_words.steps(report(outcome=OVERTAKEN))
    assert "rd-inspect retrain --category cloth" in overtaken[0]


def test_the_chart_draws_differences_their_bounds_and_the_margin() -> None:
    svg = str(gate_chart(CHECKS))
    assert svg.count("<circle") == svg.count('class="limit"') == 3
    places = [[float(x) for x in re.findall(r'x[12]="([\d.]+)"', row)] for row in svg.split("<text")]
    margins = [row[0] for row in places if len(row) == 4]
    zero = float(re.search(r'class="axis" x1="([\d.]+)"', svg)[1])
    assert all(margin < zero for margin in margins)
    assert gate_chart([replace(CHECKS[0], difference=None), *CHECKS[3:]]) == ""
    assert "<svg" in gate_chart([replace(CHECKS[0], difference=0.0, low=None, high=None)])


def test_the_guards_lists_and_the_days_are_shown() -> None:
    page = render_retraining_report(report())
    text = words(page)
    assert "Quarantined: 2" in text and "Too old: 9" in text
    assert "why it is too old Labelled by ada on 2026-03-03." in text
    assert "and 8 more; all are in normals.parquet" in text
    assert "2026-03-02300 11ada, bob" in text, "one row a day: new, old, not used, by whom"
    assert page.count("<details open>") == 1
    assert "40 normal and 32 anomalous images of 70 parts, 30 with a mask." in text
    assert "images/a.pnggone" in text and "hole (20), stain (12)" in text
    assert len([tag for tag in Page(page).all("img") if tag["src"].startswith("data:image/webp")]) == 2


def test_every_reason_has_a_title_and_a_meaning() -> None:
    from tasks.retraining.considered_normals import LEFT_OUT  # noqa: PLC0415  # reports import no tasks; one test compares their words

    assert {*LEFT_OUT, SET_ASIDE} == set(retraining_words.STATES)


def test_it_opens_without_a_network_or_a_script_and_escapes_what_comes_from_outside() -> None:
    bad = report(
        category=EVIL, words=EVIL, champion=EVIL, run_id=EVIL, store_uri=f"s3://user:word@plant/{EVIL}",
        groups=(group("quarantined", key=EVIL), group(EVIL)), days=(NormalsOfDay(DAY, 1, 1, 1, (EVIL,)),),
        quarantined=(suspect(image_key=EVIL), suspect(1, picture=None)),
        judgement=judgement(replace(CHECKS[0], words=EVIL, name=EVIL), replace(CHECKS[1], words=EVIL)),
    )  # fmt: skip
    page = render_retraining_report(bad)
    tags = Page(page)
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<link|@import|url\(|https?://", page)
    assert all(tag["src"].startswith("data:image/") for tag in tags.all("img"))
    assert "\u202e" not in page and "\x00" not in page and "=abc" not in page and "user:word" not in page
    assert "no picture" in page


def test_however_many_there_are_the_file_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    many = report(quarantined=tuple(suspect(i) for i in range(24)))
    whole = len(render_retraining_report(many))
    assert whole < retraining_report.MOST_BYTES
    monkeypatch.setattr(retraining_report, "_MOST_PICTURE_BYTES", 60_000)
    assert len(render_retraining_report(many)) < whole
    bare = len(render_retraining_report(report(quarantined=())))
    monkeypatch.setattr(retraining_report, "MOST_BYTES", bare + 8_000)
    assert len(render_retraining_report(many)) < bare + 24_000
    assert "data:image" not in render_retraining_report(many)


def test_a_chart_of_no_difference_at_all_is_drawn_too() -> None:
    even = replace(CHECKS[0], difference=0.0, low=0.0, high=0.0, margin=0.0)
    assert 'cx="333.0"' in str(gate_chart([even]))  # in the middle
