"""What the index page finds in a store, by what the other tasks write; and foreign objects that must not break it."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
from prefect.logging import disable_run_logger

from proofs.model_cards import publish_made_up
from rd_core.drift.settings import DriftSettings
from reports.evaluation.export import figure_tree
from reports.evaluation.measures import EvaluatedCategory, EvaluationReport, LabelCounts, Measure
from storage.comparisons.outcome import ComparisonOutcome, write_outcome
from storage.errors import StoreNotFound, TransientFault
from storage.filesystem import LocalStore, Store, open_store
from storage.layout import seal_key
from storage.models import models
from storage.partitions import seals
from storage.partitions.seals import SealedPlan
from storage.records import Partition
from storage.stores import checked_json
from tasks.drift.assess_drift import DriftJob, assess_drift
from tasks.drift.write_drift_report import DriftFindings, write_drift_report
from tasks.index import write_index as module
from tasks.index.newest_reports import NEWEST_FOLDERS
from tasks.index.plant_nights import SEALED_DAYS, read_nights
from tasks.index.write_index import WrittenIndex, write_index
from tests.drift_plants import FIRST, Day, put_calibrated_model, put_day
from tests.reports.html_page import Page, words

DAY = date(2026, 3, 10)
NOW = datetime(2026, 3, 11, 6, 0, tzinfo=UTC)
PAGE = "reports/index.html"
LATER = "2026-02-10_2026-03-10"
EARLIER = "2026-02-09_2026-03-09"


def seal(
    store: Store, category: str = "cloth", day: date = DAY, version: str = "v1", *, images: int = 20, ok: int = 19,
    anomalous: int = 2, at: datetime = NOW,
) -> str:  # fmt: skip
    """Seal a night that has no parts: the page reads nothing else. The seal's key."""
    plan = SealedPlan("m", f"{at:%H}{version}", "s", images, ok, images - ok, 0, anomalous, (), "run", at)
    seals.add_plan(store, Partition(category, day, version), plan)
    return seal_key(category, day, version)


def put_model(store: Store, category: str = "cloth", version: str = "v1", alpha: object = 0.05) -> None:
    publish_made_up(store, category, version, threshold={"alpha": alpha})
    models.promote(store, category, version, by="test", now=NOW - timedelta(days=3))


def put_drift(store: Store, folder: str = LATER, action: object = "hold", **entry: object) -> str:
    whole = {"category": "cloth", "verdict": action, "model_version": "v1", "models": [], **entry}
    if not whole["models"]:
        whole["models"] = [{"model_version": "v1", "assessment": None, "message": "too few"}]
    key = f"reports/drift/{folder}/drift.json"
    store.write(key, json.dumps({"categories": [whole], "failed": []}).encode())
    store.write(key.replace("drift.json", "drift.html"), b"drawn")
    return key


def put_evaluation(store: Store, folder: str = LATER, category: str = "cloth", auroc: object = 0.912) -> str:
    entry = {
        "category": category, "model_version": "v1", "in_mean": True, "figures": {"image_auroc": {"value": auroc}}
    }  # fmt: skip
    key = f"reports/evaluation/{folder}/figures.json"
    store.write(key, json.dumps({"categories": [entry], "failed": []}).encode())
    store.write(key.replace("figures.json", "evaluation.html"), b"drawn")
    return key


def written_page(store: Store, now: datetime = NOW, **more: str) -> tuple[WrittenIndex, str]:
    found = write_index.fn(store.uri, now, **more)
    return found, store.read(PAGE).decode("utf-8")


def test_an_image_that_was_scored_again_counts_once(store: Store) -> None:
    put_calibrated_model(store, "cloth")
    put_day(store, "cloth", FIRST, Day(images=6))
    put_day(store, "cloth", FIRST, Day(images=2, unreadable=1), names=["0001.png", "0004.png"], later=3, etag="e2")
    with ThreadPoolExecutor(1) as pool:
        [night] = read_nights(store, pool, {}, NOW).nights
        [found] = night.categories
        assert (found.images, found.ok) == (6, 5)
        store.remove(next(info.key for info in store.list("scores/")))
        assert "is gone" in next(iter(read_nights(store, pool, {}, NOW).unreadable.values()))


def links(html: str) -> list[str]:
    return [unquote(one["href"]) for one in Page(html).all("a") if not one["href"].startswith("#")]


@pytest.fixture
def plant(store: Store) -> Store:
    put_model(store)
    seal(store, ok=20)
    return store


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Drift and evaluation as the tasks themselves write them: their JSON must be what the page reads."""
    store = open_store(tmp_path_factory.mktemp("plants") / "plant", create=True)
    put_calibrated_model(store, "cloth", normals=100)
    last = FIRST + timedelta(days=7)
    for n in range(8):
        put_day(store, "cloth", FIRST + timedelta(days=n), Day(40, score=6.0, brightness=6.0) if n > 3 else Day(40))
    settings = DriftSettings(resamples=199)
    with disable_run_logger():
        found = assess_drift.fn(DriftJob(store.uri, "cloth", "v1", FIRST, last, settings))
        failed = (("metal v1", "CorruptObject: cut off"),)
        findings = DriftFindings(FIRST, last, (), (found,), {}, failed, settings)
        write_drift_report.fn(store.uri, store.uri, findings, run_id="run", made_at=NOW)
    measures = (Measure("image_auroc", 0.9321), Measure("aupro_30", None, why="no mask"), Measure("recall", 0.75))
    evaluated = [
        EvaluatedCategory("cloth", version, (last,), version == "v1", LabelCounts(), measures)
        for version in ("v1", "v0")
    ]
    tree = figure_tree(EvaluationReport(last, last, store.uri, "run", NOW, tuple(evaluated)))
    store.write(f"reports/evaluation/{last}_{last}/figures.json", json.dumps(tree).encode())
    store.write(f"reports/evaluation/{last}_{last}/evaluation.html", b"drawn")
    return store


def test_what_the_reports_say_stands_on_the_page(real: Store) -> None:
    found, html = written_page(real, datetime(2026, 3, 9, 6, tzinfo=UTC))
    text = words(html)
    assert found.key == PAGE
    assert any(
        need.startswith("Retrain: cloth: likely cause light or camera, since 2026-03-05") for need in found.needs
    )
    assert "Not assessed: metal v1: CorruptObject: cut off" in found.needs
    assert "AUROC 0.932 recall 75\u202f%" in text
    assert "AUPRO" not in text
    assert "Files that could not be read" not in text
    assert "drift/2026-03-01_2026-03-08/drift.html" in links(html)
    assert (Path(real.uri) / "reports/drift/2026-03-01_2026-03-08/drift.html").is_file()
    assert "evaluation/2026-03-08_2026-03-08/evaluation.html" in links(html)


def test_a_calm_plant_needs_nobody_and_the_same_again_is_the_same_page(plant: Store) -> None:
    put_drift(plant)
    found, html = written_page(plant)
    assert found.needs == ()
    assert written_page(plant) == (found, html)


def test_an_empty_store_has_a_page(store: Store) -> None:
    found, html = written_page(store)
    assert found.needs == ()
    assert "No day is complete yet" in html


def test_a_store_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        write_index.fn(str(tmp_path / "nowhere"), NOW)


def test_only_the_last_days_are_read(plant: Store) -> None:
    oldest = [seal(plant, day=DAY - timedelta(days=n)) for n in range(1, SEALED_DAYS + 3)][-3:]
    for key in oldest:
        plant.write(key, b"not read")
    found, html = written_page(plant)
    assert len(Page(html).all("details")) == SEALED_DAYS
    assert "3 complete days older than these 31 are not shown" in words(html)
    assert not any("Damaged" in need for need in found.needs)


def test_a_night_sealed_by_two_models_counts_once_by_the_later_seal(plant: Store) -> None:
    seal(plant, version="v0", images=25, ok=25, anomalous=5, at=NOW + timedelta(hours=1))
    seal(plant, version="v2", images=30, ok=30, anomalous=7, at=NOW - timedelta(hours=1))
    assert "cloth complete also by 2 earlier models 25 5 20\u202f% 0" in words(written_page(plant)[1])


def test_plans_of_a_seal_add_up(store: Store) -> None:
    put_model(store)
    key = seal(store)
    kept = checked_json.from_bytes(store.read(key), key, "a seal")
    kept["plans"].append({**kept["plans"][0], "images": 10, "ok": 9, "anomalous": 3})
    store.write(key, checked_json.to_bytes(kept))
    assert "cloth complete 30 5 17.9\u202f% 2" in words(written_page(store)[1])


def test_nights_with_images_but_no_seal_are_missing_until_yesterday(plant: Store) -> None:
    seal(plant, day=DAY - timedelta(days=4))
    for n in (6, 3, 2, 0, -1):  # before its first seal: to learn from; tomorrow's: waits for its night
        plant.write(f"images/cloth/{DAY - timedelta(days=n)}/0.png", b"x")
    found, html = written_page(plant)
    assert found.needs[0].startswith("Missing nights: cloth of 2026-03-07 to 2026-03-08: ")
    assert len(Page(html).all("details")) == 4
    later, _ = written_page(plant, NOW + timedelta(days=1))
    assert later.needs[0].startswith("Missing nights: cloth of 2026-03-07 to 2026-03-08, 2026-03-11: ")


def test_images_may_lie_in_a_store_of_their_own(plant: Store, tmp_path: Path) -> None:
    images = open_store(tmp_path / "line", create=True)
    seal(plant, day=DAY - timedelta(days=2))
    images.write("images/cloth/2026-03-09/0.png", b"x")
    images.write("images/no plain name/2026-03-09/0.png", b"x")
    images.write("images/new/2026-03-09/0.png", b"x")
    found, html = written_page(plant, images_uri=images.uri)
    assert [need.split(":")[0] for need in found.needs][:2] == ["Missing night", "No model"]
    assert "no plain name" not in html
    assert "The store has no images" not in html
    assert "The store has no images" in written_page(plant)[1]


def test_run_reports_are_linked_newest_first_by_names_that_need_quoting(plant: Store) -> None:
    for age, name in enumerate(("b run#1?", "a%2F", "c")):
        key = f"reports/inspection/{DAY}/{name}.html"
        plant.write(key, b"<p>")
        os.utime(Path(plant.uri) / key, (NOW.timestamp() - age, NOW.timestamp() - age))
    plant.write(f"reports/inspection/{DAY}/notes.txt", b"no report")
    found = [link for link in links(written_page(plant)[1]) if link.startswith("inspection/")]
    assert found == [f"inspection/{DAY}/{name}.html" for name in ("b run#1?", "a%2F", "c")]
    assert all((Path(plant.uri) / "reports" / link).is_file() for link in found)


def test_retrainings_are_linked_newest_first(plant: Store) -> None:
    days = ("2026-03-01", "2026-03-09", "2025-12-31")
    keys = [f"reports/retraining/{day}/cloth/run/retraining.html" for day in days]
    for key in keys:
        plant.write(key, b"<p>")
        plant.write(key.replace(".html", ".json"), b"{}")
    plant.write("reports/retraining/not-a-day/cloth/run/x.html", b"<p>")
    found = [link for link in links(written_page(plant)[1]) if link.startswith("retraining/")]
    assert found == [keys[n].removeprefix("reports/") for n in (1, 0, 2)]


def test_comparisons_are_linked_with_the_named_method_or_why_there_is_none(plant: Store) -> None:
    named = ComparisonOutcome(
        "cloth", "c0", "padim", 0, "padim is best.", True, True, True, (), ("spade, seed 0: no memory",), {},
        "comparisons/cloth/c0/comparison.html", "run", NOW,
    )  # fmt: skip
    older = {"method": None, "sentence": "Label 3 more.", "failed": (), "made_at": NOW - timedelta(days=2)}
    for changes in ({}, {"id": "c1", **older}, {"id": "c2", "category": "tiles", **older}):
        one = replace(named, **changes)
        one = replace(one, report=f"comparisons/{one.category}/{one.id}/comparison.html")
        write_outcome(plant, one)
        plant.write(one.report, b"<p>")
    plant.write("comparisons/cloth/c3/comparison.json", b"{}")
    _, html = written_page(plant)
    found = [link for link in links(html) if "comparisons" in link]
    assert found == [f"../comparisons/{name}/comparison.html" for name in ("cloth/c0", "cloth/c1", "tiles/c2")]
    assert all((Path(plant.uri) / "reports" / link).is_file() for link in found)
    text = words(html)
    assert "cloth 2026-03-11 06:00 UTC earlier 2026-03-09 padim drawn defects padim is best. Failed: spade" in text
    assert "tiles 2026-03-09 06:00 UTC none drawn defects Label 3 more." in text
    assert "comparisons/cloth/c3/comparison.json" in text


def test_the_newest_drift_report_is_that_of_the_latest_days(plant: Store) -> None:
    put_drift(plant, LATER, "hold")
    put_drift(plant, EARLIER, "stop the line")  # written later, but of earlier days
    assert written_page(plant)[0].needs == ()


def test_a_window_into_the_future_does_not_hide_later_reports(plant: Store) -> None:
    key = put_drift(plant, "2026-01-01_2026-12-31", "hold")
    os.utime(Path(plant.uri) / key, (1, 1))
    put_drift(plant, LATER, "stop the line")
    assert written_page(plant)[0].needs[0].startswith("Stop the line: cloth")


def test_a_report_of_chosen_categories_counts_and_others_come_from_elsewhere(plant: Store) -> None:
    put_model(plant, "metal")
    seal(plant, "metal", ok=20)
    put_drift(plant, EARLIER, "retrain", category="metal")
    old = put_drift(plant, LATER, "hold")
    os.utime(Path(plant.uri) / old, (1, 1))
    put_drift(plant, f"{LATER}/cloth", "recalibrate")
    found, html = written_page(plant)
    assert [need.split(":")[:2] for need in found.needs] == [["Retrain", " metal"], ["Recalibrate", " cloth"]]
    assert f"drift/{LATER}/cloth/drift.html" in links(html)
    assert f"drift/{EARLIER}/drift.html" in links(html)


def test_the_newest_evaluation_is_that_of_the_latest_days(plant: Store) -> None:
    put_evaluation(plant, LATER, auroc=0.7)
    put_evaluation(plant, EARLIER, auroc=0.9)
    plant.write(f"reports/evaluation/{LATER}/partitions/figures.json", b"no report of its own")
    for n in range(NEWEST_FOLDERS):
        put_evaluation(plant, f"2026-01-0{n + 1}_2026-01-0{n + 1}", auroc=0.1)
    html = written_page(plant)[1]
    assert "AUROC 0.700" in words(html)
    assert "Files that could not be read" not in words(html)


FOREIGN = [b"", b"[]", b"{", b"null", b"\xff\xfe", b"[" * 100_000, b'{"plans": 3}', b'{"categories": {"a": 1}}']


@pytest.mark.parametrize("data", FOREIGN, ids=lambda data: repr(data[:12]))
def test_foreign_objects_are_told_and_break_nothing(plant: Store, data: bytes) -> None:
    put_drift(plant, EARLIER, "stop the line")
    put_drift(plant)
    put_evaluation(plant)
    damaged = [
        seal(plant, day=DAY - timedelta(days=1)),
        f"reports/drift/{LATER}/drift.json",
        f"reports/evaluation/{LATER}/figures.json",
        "models/metal/champion.json",
        "models/cloth/v1/card.json",
    ]
    for key in damaged:
        plant.write(key, data)
    found, html = written_page(plant)
    text = words(html)
    for key in damaged:
        assert key in text
    assert found.needs[0].startswith("Stop the line: cloth")  # from the report before
    assert any(need.startswith("Damaged seal: cloth of 2026-03-09") for need in found.needs)
    assert any(need.startswith("Damaged champion: metal") for need in found.needs)


@pytest.mark.parametrize(
    ("field", "value"),
    [("images", -1), ("images", "5"), ("ok", None), ("anomalous", 10**400), ("anomalous", {}), ("ok", True),
     ("sealed_at", "yesterday"), ("category", "metal")],
)  # fmt: skip
def test_a_seal_that_says_nonsense_is_damaged(store: Store, field: str, value: object) -> None:
    put_model(store)
    key = seal(store)
    kept = json.loads(store.read(key))
    (kept["partition"] if field == "category" else kept if field == "sealed_at" else kept["plans"][0])[field] = value
    store.write(key, json.dumps(kept).encode())
    found, html = written_page(store)
    assert found.needs[0].startswith("Damaged seal: cloth of 2026-03-10")
    assert key in words(html)


@pytest.mark.parametrize(
    "entry",
    [{"verdict": "panic"}, {"verdict": 3}, {"category": None}, {"models": [{}]}, {"model_version": "v7"},
     {"models": [{"model_version": "v1", "message": None, "assessment": {"causes": [{}], "changed_since": None}}]}],
)  # fmt: skip
def test_a_verdict_of_another_shape_is_told(plant: Store, entry: dict[str, object]) -> None:
    key = put_drift(plant, **entry)
    found, html = written_page(plant)
    assert found.needs == ("Damaged files: 1 file of the store could not be read. They are listed below.",)
    assert key in words(html)


@pytest.mark.parametrize("value", ["much", float("nan"), [1], 10**400])
def test_a_figure_that_is_no_number_is_told(plant: Store, value: object) -> None:
    key = put_evaluation(plant, auroc=value)
    assert key in words(written_page(plant)[1])


def test_names_below_seals_that_nobody_made_are_left_alone(plant: Store) -> None:
    for key in (
        "seals/run_date=2026-13-45/category=cloth/model_version=v1.json",
        "seals/run_date=today/category=cloth/model_version=v1.json",
        f"seals/run_date={DAY}/category=a b/model_version=v1.json",
        f"seals/run_date={DAY}/notes.txt",
        f"seals/run_date={DAY}/category=cloth/model_version=v1.json.bak",
        "reports/drift/2026-03-10_2026-03-01/drift.json",
        "reports/drift/notes/drift.json",
    ):
        plant.write(key, b"?")
    found, html = written_page(plant)
    assert found.needs == ()
    assert len(Page(html).all("details")) == 1


class _Faulty(LocalStore):
    """A store that cannot read some objects, or at all."""

    broken = "seals/"

    def read_with_etag(self, key: str) -> tuple[bytes, str]:
        if key.startswith(self.broken):
            raise TransientFault(f"{key}: timed out")
        return super().read_with_etag(key)


def test_an_object_that_cannot_be_read_is_told(plant: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "open_store", lambda uri, **more: _Faulty(Path(uri), **more))
    found, html = written_page(plant)
    assert found.needs[0].startswith("Damaged seal: cloth")
    assert "timed out" in html


def test_a_camera_that_fell_silent_comes_before_all_else(plant: Store) -> None:
    put_model(plant, "metal")
    put_model(plant, "bolt")
    put_drift(plant, action="stop the line")
    for key in (f"cloth/{DAY}", f"metal/{DAY - timedelta(days=2)}"):
        plant.write(f"images/{key}/a.png", b"x")
    found, page = written_page(plant)
    assert found.needs[0].startswith(
        "Silent camera: bolt: no image of 2026-03-10, although a model is in force; there never"
    )
    assert (
        found.needs[1].startswith("Silent camera: metal: no image of 2026-03-10") and "2026-03-08" in found.needs[1]
    )
    assert found.needs[2].startswith("Stop the line")
    assert "Silent camera" in words(page)
    needs = write_index.fn(plant.uri, NOW, made_every_day=["cloth", "bolt"]).needs
    assert sum("Silent" in need for need in needs) == 1
    later = write_index.fn(plant.uri, NOW, night=DAY + timedelta(days=1)).needs
    assert "cloth: no image of 2026-03-11" in later[2] and f"last image is of {DAY}" in later[2]


def test_a_category_that_cannot_be_looked_into_is_told_and_not_silent(
    plant: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_model(plant, "metal")
    for category in ("cloth", "metal"):
        plant.write(f"images/{category}/{DAY}/a.png", b"x")
    scandir = os.scandir

    def scan(folder: str) -> object:  # root may look into all, so the refusal is put in
        if str(folder).endswith("images/metal"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    found, page = written_page(plant)
    assert not any("Silent" in need for need in found.needs)
    assert "images/metal/" in words(page) and "Permission denied" in words(page)
