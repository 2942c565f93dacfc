"""The index page: what it asks for, what it shows and where it leads."""

import re
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.index.needs import UNREADABLE_DAYS, day_ranges, needs
from reports.index.page import MOST_LINKS, render_plant_index
from reports.index.plant import (
    DAMAGED,
    SEALED,
    UNSEALED,
    CategoryDay,
    DriftInForce,
    InForce,
    LatestEvaluation,
    PlantCategory,
    PlantDay,
    PlantIndex,
)
from reports.index.sparkline import sparkline
from tests.reports.html_page import Page, words

DAY = date(2026, 3, 10)
NOW = datetime(2026, 3, 11, 6, 0, tzinfo=UTC)
DRIFT = "drift/2026-02-10_2026-03-10/drift.html"


def row(category: str = "cloth", **fields: object) -> CategoryDay:
    return CategoryDay(
        **{
            "category": category, "state": SEALED, "model_version": "v1", "images": 100, "ok": 100, "anomalous": 3,
            "alpha": 0.02, **fields,
        }
    )  # fmt: skip


def night(before: int = 0, *rows: CategoryDay, reports: tuple[str, ...] = ("inspection/day/run.html",)) -> PlantDay:
    return PlantDay(DAY - timedelta(days=before), rows or (row(),), reports)


def category(name: str = "cloth", action: str | None = "hold", **fields: object) -> PlantCategory:
    drift = DriftInForce(DRIFT, DAY, "v1", action, ("light or camera",) if action != "hold" else (), None)
    return PlantCategory(
        **{"category": name, "champion": InForce("v1", NOW - timedelta(days=40)), "drift": drift, **fields}
    )


def index(**fields: object) -> PlantIndex:
    return PlantIndex(
        **{
            "store_uri": "s3://plant/inspect", "made_at": NOW, "nights": (night(),), "categories": (category(),),
            "software": {"python": "3.11"}, **fields,
        }
    )  # fmt: skip


def test_a_calm_plant_needs_nobody() -> None:
    assert needs(index()) == ()
    assert "Nothing to do." in words(render_plant_index(index()))


def test_an_empty_store_and_one_without_drift_reports_say_so() -> None:
    empty = words(render_plant_index(index(nights=(), categories=())))
    assert "No day is complete yet" in empty
    assert "There is no category yet" in empty
    assert "drift has not been assessed yet" in words(render_plant_index(index(categories=(category(drift=None),))))


def test_the_most_urgent_comes_first() -> None:
    lost = night(0, row("a", ok=90), row("b", state=UNSEALED), row("c", state=DAMAGED))
    named = zip("abcd", ("recalibrate", "retrain", "stop the line", "hold"), strict=True)
    plant = index(
        nights=(lost,),
        categories=(*(category(name, action) for name, action in named), category("e", champion=None)),
        not_assessed=((DRIFT, "golden images of a", "cut off"),),
        unreadable=(("seals/x.json", "no JSON"),),
    )
    assert [need.title for need in needs(plant)] == [
        "Stop the line", "Retrain", "Recalibrate", "Missing night", "Damaged seal", "No model", "Partly unreadable",
        "Not assessed", "Damaged files",
    ]  # fmt: skip
    assert "Stop the line: c. 9 things to do" in words(render_plant_index(plant))


def test_a_verdict_names_cause_and_day_and_leads_to_its_report() -> None:
    drift = DriftInForce(DRIFT, DAY, "v1", "retrain", ("light or camera", "focus"), "2026-03-04")
    found = needs(index(categories=(category(drift=drift),)))
    assert str(found[0]).startswith("Retrain: cloth: likely cause light or camera, focus, since 2026-03-04; ")
    assert found[0].report == DRIFT


@pytest.mark.parametrize(("action", "still"), [("retrain", 0), ("recalibrate", 0), ("stop the line", 1)])
def test_a_new_model_answers_a_verdict_on_the_one_before_but_never_a_stopped_line(action: str, still: int) -> None:
    plant = index(categories=(category(action=action, champion=InForce("v2", NOW)),))
    assert len(needs(plant)) == still
    assert "of an earlier model; the champion is not assessed yet" in words(render_plant_index(plant))


def test_a_night_that_failed_as_a_whole_is_one_thing_to_do() -> None:
    names = ("cloth", "metal")
    whole = [night(n, *(row(name, state=UNSEALED) for name in names)) for n in (5, 3, 4)]
    alone = night(7, row("cloth", state=UNSEALED), row("metal"))
    plant = index(
        nights=tuple(sorted((night(), alone, *whole), key=lambda one: one.day, reverse=True)),
        categories=tuple(map(category, names)),
    )
    first, second = (str(need) for need in needs(plant))
    assert first.startswith("Missing nights: cloth, metal of 2026-03-05 to 2026-03-07: ")
    assert first.endswith("Inspect these days: rd-inspect backfill --from 2026-03-05 --to 2026-03-07")
    assert second.startswith("Missing night: cloth of 2026-03-03: ")
    assert second.endswith("Inspect the day: rd-inspect inspect --run-date 2026-03-03")


def test_without_a_model_missing_nights_are_no_news() -> None:
    plant = index(nights=(night(0, row(state=UNSEALED)),), categories=(category(champion=None, drift=None),))
    assert [need.title for need in needs(plant)] == ["No model"]


def test_files_without_a_score_are_told_a_week_long_and_once_a_category() -> None:
    before = (0, 2, UNREADABLE_DAYS - 1, UNREADABLE_DAYS)
    (found,) = needs(index(nights=tuple(night(n, row(images=105, ok=100)) for n in before)))
    assert "5 of 105 images of 2026-03-10 have no score; also some of 2026-03-04, 2026-03-08." in found.text
    assert str(found).endswith(
        "inspect again: rd-inspect backfill --from 2026-03-04 --to 2026-03-10 --category cloth"
    )
    assert "2026-03-03" not in found.text
    (one,) = needs(index(nights=(night(0, row(images=105, ok=100)),)))
    assert str(one).endswith("inspect again: rd-inspect inspect --run-date 2026-03-10 --category cloth")


def test_categories_that_miss_scores_of_the_same_days_are_one_thing_to_do() -> None:
    bad = {"images": 105, "ok": 100}
    nights = (night(0, row("a", **bad), row("b", **bad), row("c", **bad)), night(1, row("c", **bad)))
    both, alone = needs(index(nights=nights, categories=tuple(map(category, "abc"))))
    assert both.text.startswith("a, b: 10 of 210 images of 2026-03-10 have no score. ")
    assert both.command == "rd-inspect inspect --run-date 2026-03-10"
    assert alone.text.startswith("c: 5 of 105 images")
    assert alone.command == "rd-inspect backfill --from 2026-03-09 --to 2026-03-10 --category c"


def test_nights_whose_seals_are_damaged_are_one_thing_to_look_at() -> None:
    (found,) = needs(index(nights=tuple(night(n, row(state=DAMAGED)) for n in (0, 1, 3))))
    assert str(found).startswith("Damaged seals: cloth of 2026-03-07, 2026-03-09 to 2026-03-10: ")


@given(st.sets(st.dates(date(2026, 1, 1), date(2026, 2, 28)), min_size=1))
def test_ranges_name_every_day_and_no_other(days: set[date]) -> None:
    named: set[date] = set()
    for part in day_ranges(sorted(days)).split(", "):
        ends = [date.fromisoformat(one) for one in part.split(" to ")]
        named |= {ends[0] + timedelta(days=n) for n in range((ends[-1] - ends[0]).days + 1)}
    assert named == days


def test_the_figures_of_a_night_stand_in_its_table() -> None:
    plant = index(nights=(night(0, row(images=1250, ok=1200, anomalous=60, earlier_versions=1)), night(1)))
    text = words(render_plant_index(plant))
    assert "2026-03-10 1\u202f250 images, 60 alarms (5\u202f%), 50 without a score 1 complete" in text
    assert "cloth complete also by 1 earlier model 1\u202f250 60 5\u202f% 50" in text
    found = Page(render_plant_index(plant))
    assert [one.get("open", "closed") for one in found.all("details")] == [None, "closed"]
    assert {"style": "left: 2.00%"} in found.all("b")


def test_a_category_shows_model_evaluation_and_retraining() -> None:
    evaluation = LatestEvaluation(
        "evaluation/x/evaluation.html", DAY, DAY, "v0", {"image_auroc": 0.98765, "recall": 0.875}
    )
    retraining = tuple((DAY - timedelta(days=n), f"retraining/{n}.html") for n in range(MOST_LINKS + 2))
    champion = InForce("v1", NOW - timedelta(days=40), "v2")
    text = words(
        render_plant_index(
            index(categories=(category(evaluation=evaluation, retraining=retraining, champion=champion),))
        )
    )
    assert "AUROC 0.988 recall 87.5\u202f% 2026-03-10 of an earlier model" in text
    assert "AUPRO" not in text
    assert "v1 since 2026-01-30, 40 days ago; rolled back from v2" in text
    assert "2026-03-07 and 2 more" in text


def test_older_days_and_unknown_gaps_are_told() -> None:
    text = words(render_plant_index(index(older_days=7, images_listed=False)))
    assert "7 complete days older than these 1 are not shown" in text
    assert "this page cannot tell a missing night" in text
    calm = words(render_plant_index(index()))
    assert "older than" not in calm
    assert "cannot tell a missing night" not in calm


def test_names_from_outside_stay_text_and_links_stay_inside() -> None:
    evil = '<script>alert(1)</script>"\u202e&\ud800'
    path = "inspection/2026-03-10/a b#?%2F\"<'>ä.html"
    silent = DriftInForce(path, DAY, evil, None, (), None, evil)
    plant = index(
        store_uri="s3://user:secret@plant/x",
        nights=(night(0, row(evil), reports=(path,) * (MOST_LINKS + 3)),),
        categories=(category(evil, "retrain"), category("x", drift=silent)),
        not_assessed=((path, evil, evil),),
        unreadable=((evil, evil),),
    )  # fmt: skip
    html = render_plant_index(plant)
    found = Page(html)
    assert not found.all("script")
    assert "secret" not in html
    assert "\u202e" not in html
    html.encode("utf-8")
    links = [one["href"] for one in found.all("a") if not one["href"].startswith("#")]
    assert path in {unquote(link) for link in links}
    for link in links:
        parts = urlsplit(link)
        assert not parts.scheme and not parts.netloc and not parts.query and not parts.fragment
        assert not link.startswith("/")
    assert all(set(one) >= {"href", "aria-label"} for one in found.all("a")[1:] if "inspection" not in one["href"])


def test_the_page_asks_nobody_for_anything() -> None:
    html = render_plant_index(index())
    found = Page(html)
    assert not found.all("link") and not found.all("img") and not found.all("script")
    (policy,) = (one["content"] for one in found.all("meta") if one.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    targets = {one["href"][1:] for one in found.all("a") if one["href"].startswith("#")}
    assert targets <= {one.get("id") for _, one in found.elements}


def test_a_sparkline_rises_with_its_shares_and_keeps_the_calendar() -> None:
    days = [DAY, DAY + timedelta(days=1), DAY + timedelta(days=4)]
    drawn = str(sparkline(days, [0.1, 0.2, 0.05], 0.02, "<cloth>"))
    (line,) = re.findall(r'<polyline class="series" points="([^"]+)"', drawn)
    x, y = zip(*(map(float, point.split(",")) for point in line.split()), strict=True)
    assert x[1] - x[0] == pytest.approx((x[2] - x[1]) / 3, abs=0.1)
    assert y[1] < y[0] < y[2]
    (reference,) = re.findall(r'<line class="threshold"[^>]* y1="([^"]+)"', drawn)
    assert float(reference) > y[2]
    assert "&lt;cloth&gt;" in drawn
    assert (
        "3 days from 2026-03-10: first 10\u202f%, last 5\u202f%, highest 20\u202f% on 2026-03-11; 2\u202f% promised"
        in drawn
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.none() | st.floats(0.001, 0.999))
def test_a_sparkline_stays_in_its_picture(shares: list[float], reference: float | None) -> None:
    drawn = str(sparkline([DAY + timedelta(days=n) for n in range(len(shares))], shares, reference, "t"))
    width, height = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', drawn)[0])
    points = re.findall(r'points="([^"]*)"', drawn)[0].split()
    across, down = zip(*(map(float, point.split(",")) for point in points), strict=True)
    levels = [*down, *map(float, re.findall(r' y1="([^"]+)"', drawn))]
    assert all(0 <= x <= width for x in across)
    assert all(0 <= y <= height for y in levels)


def test_a_sparkline_without_days_is_empty_and_uneven_ones_are_refused() -> None:
    assert sparkline([], [], 0.02, "t") == ""
    with pytest.raises(ValueError, match="1 days and 2 shares"):
        sparkline([DAY], [0.1, 0.2], None, "t")
