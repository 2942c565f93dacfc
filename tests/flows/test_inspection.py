"""Nights on a real Prefect server and real Dask workers."""

import io
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from PIL import Image
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter

from flows.inspection import InspectionFailed, InspectionRun, inspect_images
from flows.preflight.night_choice import NoImages
from flows.settings import SettingsError
from storage.analysis.queries import run_query
from storage.errors import StoreNotFound
from storage.filesystem import Store, open_store
from storage.layout import image_key, report_key
from storage.partitions import seals
from storage.records import Partition
from tests.factories import (
    DAY,
    SIZE,
    assert_night_is_whole,
    everything_below,
    png,
    put_images,
    put_model,
    sealed_rows,
    write_settings,
)
from tests.prefect_events import events_since


def inspect(store: Store, scheduler: str, *, reports: bool = False, **more: object) -> InspectionRun:
    """Without the reports at the end of a night, which have tests of their own."""
    return inspect_images(store.uri, DAY, reports=reports, dask_address=scheduler, **more)


def outcomes(run: InspectionRun) -> dict[str, str]:
    return {one.category: one.state for one in run.categories}


def flow_run_state(run_id: str) -> str:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id).state.name


def names_of(run: InspectionRun) -> list[str]:
    """What Prefect calls its flow run and those below it."""
    with get_client(sync_client=True) as client:
        below = client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id={"any_": [run.run_id]}))
        return sorted([client.read_flow_run(run.run_id).name, *(one.name for one in below)])


def test_a_night_of_two_categories_is_scored_sealed_and_reported(store: Store, scheduler: str) -> None:
    write_settings(store)
    store.write("categories.toml", b"[plant]\nbatch_images = 3\n")
    keys = {}
    for category in ("cloth", "metal"):
        put_model(store, category)
        keys[category] = put_images(store, category, [f"good/{i}.png" for i in range(7)])
    out = io.BytesIO()
    Image.new("L", (SIZE, SIZE)).save(out, "PNG")
    store.write(keys["metal"][6], out.getvalue())
    run = inspect(store, scheduler)
    assert run.outcome == "completed"
    assert outcomes(run) == {"cloth": "sealed", "metal": "sealed"}
    assert flow_run_state(run.run_id) == "Completed"
    assert names_of(run) == [f"inspect {DAY}", f"plan {DAY}", f"score {DAY}: cloth, metal"]
    for category, expected in keys.items():
        assert_night_is_whole(store, category, expected)
        assert {row["run_id"] for row in sealed_rows(store, category)} == {run.run_id}
    assert run.report == report_key("inspection", DAY, f"{run.run_id}.html")
    page = store.read(run.report).decode()
    assert "cloth" in page and "metal" in page and "good/0.png" in page
    told = {one.category: one.message for one in run.categories}
    assert told["cloth"] is None
    assert told["metal"].startswith("1 of 7 images are blank: one value throughout, such as black")
    assert told["metal"] in page


def test_a_second_run_writes_no_score_and_a_third_what_is_late_or_changed(store: Store, scheduler: str) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png", "b.png"])
    first = inspect(store, scheduler)
    before = everything_below(Path(store.uri), "scores", "maps", "seals", "manifests")
    again = inspect(store, scheduler)
    assert outcomes(again) == {"cloth": "already sealed"}
    assert (again.categories[0].scored_now, again.categories[0].ok) == (0, 2), "the counts are of the day"
    assert everything_below(Path(store.uri), "scores", "maps", "seals", "manifests") == before
    store.write(image_key("cloth", DAY, "b.png"), png(50))
    store.write(image_key("cloth", DAY, "c.png"), png(51))
    third = inspect(store, scheduler)
    assert third.categories[0].scored_now == 2
    latest = run_query(store, "SELECT image_key, run_id, score FROM latest ORDER BY image_key").to_pylist()
    assert [(Path(row["image_key"]).name, row["run_id"]) for row in latest] == [
        ("a.png", first.run_id),
        ("b.png", third.run_id),
        ("c.png", third.run_id),
    ]
    assert run_query(store, "SELECT count(*) AS n FROM scores").to_pylist() == [{"n": 4}]


def test_bad_files_end_in_completed_with_rejects(store: Store, scheduler: str) -> None:
    put_model(store, "cloth")
    keys = put_images(store, "cloth", ["a.png", "b.png"])
    for name, data in (("empty.png", b""), ("<script>alert(1)</script>.png", b"not an image")):
        keys.append(image_key("cloth", DAY, name.replace("/", "_")))
        store.write(keys[-1], data)
    run = inspect(store, scheduler)
    assert run.outcome == "completed with rejects"
    assert flow_run_state(run.run_id) == "CompletedWithRejects"
    assert run.categories[0].unreadable == 2
    assert_night_is_whole(store, "cloth", keys)
    assert "<script>alert" not in store.read(run.report).decode()


def test_a_damaged_model_or_none_fails_the_run_and_the_others_are_sealed(store: Store, scheduler: str) -> None:
    keys = {category: put_images(store, category, ["a.png"]) for category in ("cloth", "metal", "wood")}
    put_model(store, "cloth")
    put_model(store, "wood")
    weights = Path(store.uri) / "models" / "wood" / "v1" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InspectionFailed, match=r"rd-inspect train --category metal.*batches failed") as failed:
        inspect(store, scheduler)
    assert outcomes(failed.value.run) == {"cloth": "sealed", "metal": "no champion", "wood": "failed"}
    assert flow_run_state(failed.value.run.run_id) == "Failed"
    assert_night_is_whole(store, "cloth", keys["cloth"])
    assert seals.read_seal(store, Partition("wood", DAY, "v1")) is None


def test_a_night_on_which_nothing_came_is_told_to_everybody_and_fails(store: Store, scheduler: str) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png"])
    began, tomorrow = datetime.now(UTC), DAY + timedelta(days=1)
    with pytest.raises(NoImages, match=f"latest day there is {DAY}, of cloth"):
        inspect_images(store.uri, tomorrow, dask_address=scheduler)
    told = events_since(began, "inspection.empty", lambda event: event.payload["run_date"] == str(tomorrow))
    assert [event.payload["category"] for event in told] == ["cloth"]
    page = store.read("reports/index.html").decode()
    assert "Silent camera" in page and f"no image of {tomorrow}" in page


def test_what_is_not_made_every_day_has_nothing_to_do(store: Store, scheduler: str) -> None:
    store.write("categories.toml", b"[defaults]\nevery_day = false\n")
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png"])
    run = inspect_images(store.uri, DAY + timedelta(days=1), dask_address=scheduler)
    assert (run.outcome, run.report) == ("nothing to do", None)
    assert flow_run_state(run.run_id) == "NothingToDo"


def test_an_unknown_category_is_refused_with_the_nearest(store: Store, scheduler: str) -> None:
    put_images(store, "cloth", ["a.png"])
    with pytest.raises(SettingsError, match="'cloth'"):
        inspect(store, scheduler, categories=["clot"])


def test_what_cannot_be_looked_into_is_told_and_the_rest_is_sealed(store: Store, scheduler: str) -> None:
    """Folders named like nothing, a circle of links, a camera that fell silent, litter."""
    put_model(store, "cloth")
    put_model(store, "metal")
    keys = put_images(store, "cloth", ["a.png"])
    day = Path(store.uri) / f"images/cloth/{DAY}"
    (day / "again").symlink_to(day)
    for key in ("images/cloth/2026-3-2/x.png", "images/two words/2026-03-02/x.png", f"images/cloth/{DAY}/._a.png"):
        store.write(key, png(1))
    with pytest.raises(InspectionFailed, match=r"metal: No image of .*cloth: images/cloth/2026-03-02/again/") as e:
        inspect(store, scheduler)
    run = e.value.run
    assert run.outcome == "failed"
    assert outcomes(run) == {
        "metal": "silent camera",
        "cloth": "partly sealed",
        "images/cloth/2026-3-2/": "ignored",
        "images/two words/": "ignored",
    }
    assert_night_is_whole(store, "cloth", keys)
    page = store.read(run.report).decode()
    assert "images/two words/" in page and "1 file or folder: ._a.png" in page and "never end" in page
    (day / "again").unlink()
    with pytest.raises(InspectionFailed, match="metal: No image of") as silent:
        inspect(store, scheduler)
    assert silent.value.run.outcome == "cameras silent"


def test_a_store_that_does_not_exist_is_told(tmp_path: Path, scheduler: str) -> None:
    with pytest.raises(StoreNotFound, match="nowhere"):
        inspect_images(str(tmp_path / "nowhere"), DAY, dask_address=scheduler)


def test_without_a_date_it_is_yesterday_at_the_plant_and_the_images_store_is_never_written(
    store: Store, scheduler: str, tmp_path: Path
) -> None:
    store.write("categories.toml", b'[plant]\ntime_zone = "Pacific/Kiritimati"\n')
    line = open_store(tmp_path / "line", create=True)
    put_model(store, "cloth")
    now = datetime.now(ZoneInfo("Pacific/Kiritimati"))
    yesterday: date = now.date() - timedelta(days=1)
    keys = {day: put_images(line, "cloth", ["a.png", "b.png"], day) for day in (yesterday, now.date())}
    (tmp_path / "line").chmod(0o555)
    before = everything_below(tmp_path / "line", "")
    run = inspect_images(store.uri, reports=False, images=line.uri, dask_address=scheduler)
    assert run.outcome == "completed"
    assert_night_is_whole(store, "cloth", keys[run.run_date], run.run_date)  # today's, should midnight pass just now
    assert everything_below(tmp_path / "line", "") == before
    assert not (Path(store.uri) / "images").exists()


def test_two_runs_of_one_night_at_once_leave_each_image_once(store: Store, scheduler: str) -> None:
    store.write("categories.toml", b"[plant]\nbatch_images = 4\n")
    put_model(store, "cloth")
    keys = put_images(store, "cloth", [f"{i:02}.png" for i in range(12)])
    runs: list[InspectionRun] = []

    def one_run() -> None:
        runs.append(inspect(store, scheduler))

    threads = [threading.Thread(target=one_run) for _ in range(2)]
    for thread in threads:
        thread.start()
    store.write(image_key("cloth", DAY, "99.png"), png(99))  # arrives while they plan: one may see it, one not
    for thread in threads:
        thread.join()
    assert [run.outcome for run in runs] == ["completed", "completed"]
    inspect(store, scheduler)
    assert_night_is_whole(store, "cloth", [*keys, image_key("cloth", DAY, "99.png")])


def test_the_same_night_on_a_real_s3_server(s3_store: Store, scheduler: str) -> None:
    put_model(s3_store, "cloth")
    keys = put_images(s3_store, "cloth", ["a b.png", "ü.png", "c.png"])
    run = inspect(s3_store, scheduler)
    assert run.outcome == "completed"
    assert_night_is_whole(s3_store, "cloth", keys)
    assert outcomes(inspect(s3_store, scheduler)) == {"cloth": "already sealed"}
    rows = run_query(s3_store, "SELECT count(*) AS n, count(score) AS scored FROM latest").to_pylist()
    assert rows == [{"n": 3, "scored": 3}]
