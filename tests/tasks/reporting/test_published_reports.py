"""Reports lead to the index and to each other, and no link leads nowhere."""

import posixpath
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from urllib.parse import unquote

import pytest
from prefect.logging import disable_run_logger

from reports.around import Around, linked
from storage.filesystem import Store, open_store
from storage.layout import INDEX_KEY, drift_prefix, evaluation_prefix, report_key, retraining_prefix
from storage.partitions import seals
from storage.partitions.seals import SealedPlan
from storage.records import Partition
from tasks.index.write_index import write_index
from tasks.reporting.published_reports import (
    DRIFT,
    EVALUATION,
    INSPECTION,
    RETRAINING,
    link_day,
    publish_again,
    publish_report,
)

DAY = date(2026, 3, 10)
NOW = datetime(2026, 3, 13, 6, 0, tzinfo=UTC)
HTML = '<!doctype html><nav class="around" aria-label="Other reports"></nav><main>as it was</main>'


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with disable_run_logger():
        yield


def after(days: int) -> date:
    return DAY + timedelta(days=days)


def put_run(store: Store, day: date, run: str = "run") -> str:
    key = report_key("inspection", day, f"{run}.html")
    publish_report(store, INSPECTION, day, key, HTML)
    return key


def put_evaluation(store: Store, first: date, last: date | None = None, folder: str = "") -> str:
    key = f"{evaluation_prefix(first, last or first)}{folder}evaluation.html"
    publish_report(store, EVALUATION, last or first, key, HTML)
    return key


def put_drift(store: Store, last: date, days: int = 30) -> str:
    key = f"{drift_prefix(last - timedelta(days=days - 1), last)}drift.html"
    publish_report(store, DRIFT, last, key, HTML)
    return key


def put_retraining(store: Store, day: date, category: str) -> str:
    key = f"{retraining_prefix(day, category, 'run')}retraining.html"
    publish_report(store, RETRAINING, day, key, HTML)
    return key


def links(store: Store, key: str) -> dict[str, str]:
    """What the page says -> the key that it leads to."""
    found = {}
    html = store.read(key).decode()
    for one in html.split("<a ")[1:]:
        href, words = one.partition('href="')[2].partition('"')[0], one.partition(">")[2].partition("</a>")[0]
        if not href.startswith("#"):
            found[words] = posixpath.normpath(posixpath.join(posixpath.dirname(key), unquote(href)))
    return found


def test_a_plants_links_all_lead_somewhere_and_every_report_to_the_index(store: Store) -> None:
    for n in range(3):
        plan = SealedPlan("m", "plan", "s", 2, 2, 0, 0, 0, (), "run", NOW)
        seals.add_plan(store, Partition("cloth", after(n), "v1"), plan)
        put_run(store, after(n))
        put_evaluation(store, after(n))
        put_drift(store, after(n))
        if n != 1:
            write_index.fn(store.uri, NOW)
    put_run(store, after(2), "again, with a space & more #1")
    put_evaluation(store, DAY, after(2))
    put_retraining(store, after(2), "cloth")
    write_index.fn(store.uri, NOW)
    pages = [info.key for info in store.list("reports/") if info.key.endswith(".html")]
    assert len(pages) == 3 * 3 + 3 + 1
    for page in pages:
        leads_to = links(store, page).values()
        assert all(store.info(key) for key in leads_to), page
        assert page == INDEX_KEY or INDEX_KEY in leads_to
        assert page not in leads_to


def test_reports_that_are_older_than_the_first_index_lead_to_it(store: Store) -> None:
    plan = SealedPlan("m", "plan", "s", 2, 2, 0, 0, 0, (), "run", NOW)
    seals.add_plan(store, Partition("cloth", DAY, "v1"), plan)
    run, evaluation = put_run(store, DAY), put_evaluation(store, DAY)
    assert INDEX_KEY not in links(store, run).values()
    write_index.fn(store.uri, NOW)
    assert links(store, run)["All reports"] == links(store, evaluation)["All reports"] == INDEX_KEY


def test_a_report_leads_to_the_days_before_and_after_and_to_its_days_others(store: Store) -> None:
    runs = [put_run(store, after(n)) for n in (0, 2, 3)]
    evaluation, drift = put_evaluation(store, after(2)), put_drift(store, after(2))
    assert links(store, runs[1]) == {
        "← 2026-03-10": runs[0], "2026-03-13 →": runs[2], "evaluation": evaluation, "drift": drift,
    }  # fmt: skip
    assert links(store, runs[0]) == {"2026-03-12 →": runs[1]}
    assert links(store, evaluation) == {"run report": runs[1], "drift": drift}
    assert b"<main>as it was</main>" in store.read(drift)


def test_a_run_that_is_repeated_is_the_one_that_others_lead_to(store: Store) -> None:
    before = put_run(store, DAY)
    put_run(store, after(1), "first")
    second = put_run(store, after(1), "second")
    assert links(store, before) == {"2026-03-11 →": second}


def test_a_report_that_still_holds_is_the_newest_again(store: Store) -> None:
    before, first = put_run(store, DAY), put_run(store, after(1), "first")
    put_run(store, after(1), "of-one-category")
    publish_again(store, INSPECTION, after(1), first)
    assert links(store, before) == {"2026-03-11 →": first}


def test_links_that_are_set_leave_the_newest_the_newest(store: Store) -> None:
    before = put_run(store, DAY)
    put_run(store, after(1), "first")
    second = put_run(store, after(1), "second")
    put_drift(store, after(1))  # is linked in both
    link_day(store, DAY)
    assert links(store, before) == {"2026-03-11 →": second}


def test_reports_of_the_same_categories_are_neighbours(store: Store) -> None:
    cloth, metal = put_retraining(store, DAY, "cloth"), put_retraining(store, after(1), "metal")
    later = put_retraining(store, after(9), "cloth")
    assert links(store, cloth) == {"2026-03-19 →": later}
    assert links(store, metal) == {}
    only, whole = put_evaluation(store, DAY, folder="only-cloth/"), put_evaluation(store, after(1))
    assert links(store, whole) == {"retraining of metal": metal}
    assert links(store, only) == {"retraining of cloth": cloth}
    assert links(store, cloth)["evaluation of cloth"] == only


def test_the_days_own_evaluation_and_the_nightly_window_of_drift_are_chosen(store: Store) -> None:
    run = put_run(store, after(2))
    night, window = put_evaluation(store, after(2)), put_drift(store, after(2))
    put_evaluation(store, DAY, after(2))
    put_drift(store, after(2), days=2)
    assert links(store, run) == {"evaluation": night, "drift": window}


def test_a_neighbour_that_cannot_be_changed_costs_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = report_key("inspection", DAY, "foreign.html")
    store.write(foreign, b"<p>not ours</p>")
    mine = put_run(store, after(1))
    assert store.read(foreign) == b"<p>not ours</p>"
    assert links(store, mine) == {"← 2026-03-10": foreign}
    store.write(foreign, HTML.encode())
    busy = open_store(store.uri)

    def written_meanwhile(key: str) -> tuple[bytes, str]:
        return store.read(key), "another etag"

    monkeypatch.setattr(busy, "read_with_etag", written_meanwhile)
    latest = put_run(busy, after(1), "latest")
    assert store.read(foreign) == HTML.encode()
    assert store.read(latest) == HTML.encode()


@pytest.mark.parametrize("template", ["run_report", "evaluation", "drift_report", "retraining_report"])
def test_every_kind_of_report_has_a_place_for_links(template: str) -> None:
    html = files("reports.templates").joinpath(f"{template}.html").read_bytes()
    from_index = linked(html, "a/b/c.html", Around(index="index.html"))
    assert from_index.count(b'<a href="../../index.html">All reports</a>') == 1
    assert linked(from_index, "a/b/c.html", Around(index="index.html")) == from_index
