"""What a run's report says of label files that do not read, and when it is drawn again."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from storage.filesystem import LocalStore, Store
from storage.labels.labels import Label, write_labels
from storage.layout import image_key, seal_key, version_maps_prefix
from tasks.night.night_summary import NightSummary
from tasks.night.write_run_report import CategoryOutcome, WrittenReport, _pictured, write_run_report
from tasks.reporting import kept_result
from tasks.reporting.published_reports import link_day
from tests.factories import DAY, NOW, png
from tests.labelled_night import THRESHOLD, night, put_card, put_night

CARD = {"calibration": {"scores": (0.5, 0.9)}}


def test_a_label_file_that_does_not_read_is_named_and_the_report_is_written(tmp_path: Path) -> None:
    local = LocalStore(tmp_path)
    write_labels(local, "cloth", [Label("a", "normal", None, "Eva", datetime(2026, 3, 3, tzinfo=UTC))], "fine")
    local.write("labels/cloth/bad.csv", b"image_key,label\na,okay\n")
    told: list[str] = []
    assert _pictured(local, local, "cloth", NightSummary(3, 3, 0.05, 3), {}, told) == ([], [])
    [words] = told
    assert words.startswith("labels/cloth/bad.csv does not read") and "line 2" in words


def report(store: Store, run_id: str, **more: object) -> str:
    """The report's key; `more` of the outcome and of the task."""
    return written(store, run_id, **more).key


def written(store: Store, run_id: str, **more: object) -> WrittenReport:
    told = {name: more.pop(name) for name in ("litter", "review_url") if name in more}
    one = CategoryOutcome(
        **{"category": "cloth", "state": "already sealed", "model_version": "v1", "images": 4, **more}
    )
    common = {"run_id": run_id, "outcome": "completed", "started_at": NOW, "finished_at": NOW}
    with disable_run_logger():
        return write_run_report.fn(store.uri, store.uri, DAY, categories=[one], **common, **told)


def later_label(store: Store) -> None:
    write_labels(
        store,
        "cloth",
        [Label(image_key("cloth", DAY, "good/000.png"), "anomalous", None, "Eva", NOW + timedelta(days=1))],
        "new",
    )


def rewrite(store: Store, key: str, data: bytes | None = None) -> None:
    store.write(key, store.read(key) + b"\n" if data is None else data)


CHANGES: dict[str, Callable[[Store], object]] = {
    "image": lambda store: rewrite(store, image_key("cloth", DAY, "good/000.png"), png(77, (48, 48))),
    "no image": lambda store: store.remove(image_key("cloth", DAY, "good/000.png")),
    "label": later_label,
    "bad labels": lambda store: store.write("labels/cloth/bad.csv", b"image_key,label\na,okay\n"),
    "card": lambda store: put_card(store, "cloth", calibration={"scores": (0.5, 0.8)}),
    "seal": lambda store: rewrite(store, seal_key("cloth", DAY, "v1")),
    "maps": lambda store: [rewrite(store, info.key) for info in store.list(version_maps_prefix("cloth", DAY, "v1"))],
    "page": lambda store: rewrite(store, f"reports/inspection/{DAY}/scored.html"),
    "no page": lambda store: store.remove(f"reports/inspection/{DAY}/scored.html"),
}


@pytest.fixture
def reported(store: Store) -> Store:
    """A night that a run has scored and reported."""
    put_card(store, "cloth", **CARD)
    put_night(store, "cloth", night(normal=2, anomalous=2))
    report(store, "scored", state="sealed", scored_now=4, ok=4, seconds=3.0)
    return store


def test_a_run_that_scored_nothing_leaves_the_report_that_is_there(reported: Store) -> None:
    scored = f"reports/inspection/{DAY}/scored.html"
    link_day(reported, DAY)
    assert report(reported, "again") == scored
    assert reported.info(f"reports/inspection/{DAY}/again.html") is None
    assert report(reported, "forced", scored_now=4, state="sealed") == f"reports/inspection/{DAY}/forced.html"


def test_the_counts_are_of_the_day_whichever_run_scored_it(store: Store) -> None:
    put_card(store, "cloth", **CARD)
    shots = night(normal=2, anomalous=2)
    shots[0] = replace(shots[0], status="unreadable")
    put_night(store, "cloth", shots)
    flagged = sum(shot.score > THRESHOLD for shot in shots[1:])
    for run in ("again", "once more"):  # drawn, then left as it is
        told = written(store, run)
        assert told.outcome == "completed with rejects"
        assert told.counts == (("cloth", 3, 1, 0, flagged),)
    assert "Every image was read" not in store.read(told.key).decode()


@pytest.mark.parametrize("change", CHANGES)
def test_a_report_that_would_show_another_thing_is_drawn(reported: Store, change: str) -> None:
    CHANGES[change](reported)
    assert report(reported, "again") == f"reports/inspection/{DAY}/again.html"


@pytest.mark.parametrize("mask", ["C:\\masks\\1.png", "../1.png"])
def test_a_label_whose_mask_has_no_possible_name_costs_no_report(reported: Store, mask: str) -> None:
    said = Label(image_key("cloth", DAY, "hole/000.png"), "anomalous", mask, "Eva", NOW + timedelta(days=1))
    write_labels(reported, "cloth", [said], "new")
    assert report(reported, "again") == f"reports/inspection/{DAY}/again.html"
    assert report(reported, "once-more") == f"reports/inspection/{DAY}/again.html"


@pytest.mark.parametrize(
    "other",
    [{"litter": "3 x .DS_Store"}, {"review_url": "http://h"}, {"images": 5}, {"message": "m"}, {"state": "failed"}],
)
def test_another_outcome_or_setting_is_told(reported: Store, other: dict[str, object]) -> None:
    assert report(reported, "again", **other) == f"reports/inspection/{DAY}/again.html"


def test_other_code_draws_it(reported: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_result, "code_digest", lambda: "of mended code")
    assert report(reported, "again") == f"reports/inspection/{DAY}/again.html"
