"""The grid: every state told from the store alone, with few reads."""

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proofs.model_cards import publish_made_up
from storage import layout
from storage.analysis.grid import Cell, read_grid
from storage.day_prefixes import days_below
from storage.filesystem import LocalStore, Store, open_store
from storage.images import list_images
from storage.labels import labels
from storage.labels.labels import Label
from storage.partitions import manifests
from storage.partitions.seals import SealedPart, SealedPlan, add_plan
from storage.records import Partition
from tests.examples import examples
from tests.object_stores import Bucket

NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
FIRST, LAST = date(2026, 2, 27), date(2026, 3, 4)


@pytest.fixture(params=["local", "moto_s3"])
def store(request: pytest.FixtureRequest) -> Store:
    place = request.getfixturevalue(request.param)
    return open_store(place.uri) if isinstance(place, Bucket) else place


def put(store: Store, day: date, *names: str, category: str = "cloth", data: bytes = b"1") -> None:
    for name in names:
        store.write(layout.image_key(category, day, name), data)


def run(
    store: Store,
    day: date,
    *,
    category: str = "cloth",
    version: str = "v1",
    sealed: bool = True,
    engine: str = "torch",
) -> SealedPlan:
    """Plan what is there now and no seal covers, and seal it."""
    partition = Partition(category, day, version)
    plan = manifests.publish_plan(
        store, partition, list(list_images(store, category, day)), preprocessing="p1", batch_size=2, run_id="r",
        planned_at=NOW, engine=engine,
    )  # fmt: skip
    sizes = [min(2, plan.images - start) for start in range(0, plan.images, 2)]
    parts = tuple(SealedPart(f"scores/{plan.digest}-{i}.parquet", size, "d" * 64) for i, size in enumerate(sizes))
    n = plan.images
    made = SealedPlan(plan.manifest, plan.digest, plan.map_store, n, n, 0, 0, 0, parts, "r", NOW, engine)
    if sealed:
        add_plan(store, partition, made)
    return made


def publish(store: Store, category: str = "cloth", version: str = "v1") -> None:
    publish_made_up(store, category, version)


def cells(store: Store, version: str | None = "v1", **more: object) -> dict[str, Cell]:
    grid = read_grid(store, store, FIRST, LAST, {"cloth": version})
    return {f"{cell.run_date:%m-%d}": cell for cell in grid.cells}


@pytest.mark.parametrize("card", [True, False], ids=["with card", "without card"])
def test_every_state(store: Store, card: bool) -> None:
    if card:
        publish(store)
    days = [FIRST + timedelta(days=i) for i in range(6)]
    for day in days[:5]:
        put(store, day, "a", "b", "c")
    run(store, days[0])
    run(store, days[1])
    put(store, days[1], "d")
    run(store, days[2])
    put(store, days[2], "b", data=b"22")
    run(store, days[3], sealed=False)
    run(store, days[4], version="v2")
    put(store, days[5], "a", category="metal")
    found = cells(store)
    assert [(cell.state, cell.listed, cell.sealed) for cell in found.values()] == [
        ("done", 3, 3),
        ("partly", 4, 3),
        ("partly", 3, 2),
        ("failed", 3, 0),
        ("missing", 3, 0),
        ("no images", 0, 0),
    ]
    assert found["03-03"].others == ("v2",)
    assert [cell.state for cell in cells(store, None).values()] == ["missing"] * 5 + ["no images"]


def test_a_day_whose_images_are_all_to_train_on_is_no_missing_one(local: LocalStore) -> None:
    days = [FIRST + timedelta(days=i) for i in range(6)]
    keys = {day: [layout.image_key("cloth", day, name) for name in "ab"] for day in days}
    for day in days:
        put(local, day, "a", "b")
    said = [
        *((keys[days[0]][0], "normal", "training"), (keys[days[0]][1], "normal", "training")),
        *((keys[days[1]][0], "normal", "training"), (keys[days[1]][1], "anomalous", "training")),
        *((keys[days[2]][0], "normal", "training"), (keys[days[2]][1], "normal", "evaluation")),
        *((key, "normal", "training") for key in (*keys[days[3]], *keys[days[5]])),
    ]
    labels.write_labels(
        local, "cloth", [Label(key, word, None, "Eva", NOW, None, purpose) for key, word, purpose in said], "n"
    )
    publish_made_up(local, images={"train": [keys[days[4]][0]], "calibration": [keys[days[4]][1]]})
    run(local, days[3], version="v2")  # somebody inspected it
    run(local, days[5], sealed=False)
    found = list(cells(local).values())
    assert [cell.state for cell in found] == ["training", "missing", "missing", "missing", "training", "failed"]
    assert [cell.state for cell in read_grid(local, local, FIRST, LAST, {"cloth": "v1"}).undone] == [
        "missing", "missing", "missing", "failed",
    ]  # fmt: skip
    assert [cell.state for cell in cells(local, None).values()][4:] == ["missing", "training"]  # nobody's model yet
    local.write("labels/cloth/n.parquet", b"PAR1 no more")
    assert [cell.state for cell in cells(local).values()][::4] == ["missing", "training"]


def test_what_cannot_be_looked_into_has_failed_and_says_why(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(local)
    days = [FIRST + timedelta(days=i) for i in range(3)]
    for day in days:
        put(local, day, "a", "below/b")
        put(local, day, "a", category="metal")
    run(local, days[2])
    closed = {f"{local.uri}/images/cloth/{days[0]}", f"{local.uri}/images/cloth/{days[1]}/below"}
    scandir = os.scandir

    def scan(folder: str) -> object:  # root may look into all, so the refusal is put in
        if any(str(folder).startswith(one) for one in closed):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    first, second, third = list(cells(local).values())[:3]
    assert (first.state, first.listed, third.state, third.problem) == ("failed", 0, "done", None)
    assert (second.state, second.listed, second.sealed) == ("failed", 1, 0)
    assert "Permission denied" in str(first.problem) and "below" in str(second.problem)
    closed.add(f"{local.uri}/images/cloth")
    grid = read_grid(local, local, FIRST, LAST, {"cloth": "v1", "metal": None})
    states = {(cell.category, cell.state) for cell in grid.cells}
    assert states == {("cloth", "failed"), ("metal", "missing"), ("metal", "no images")}


def test_a_day_in_several_plans_is_done_and_one_whose_images_are_archived_too(local: LocalStore) -> None:
    publish(local)
    put(local, FIRST, "a", "b")
    run(local, FIRST)
    put(local, FIRST, "c")
    later = [image for image in list_images(local, "cloth", FIRST) if image.key.endswith("c")]
    plan = manifests.publish_plan(
        local, Partition("cloth", FIRST, "v1"), later, preprocessing="p1", batch_size=1, run_id="r", planned_at=NOW
    )
    part = SealedPart("scores/later.parquet", 1, "d" * 64)
    made = SealedPlan(plan.manifest, plan.digest, plan.map_store, 1, 1, 0, 0, 0, (part,), "r", NOW)
    add_plan(local, plan.partition, made)
    assert (cells(local)["02-27"].state, cells(local)["02-27"].sealed) == ("done", 3)
    for info in list(local.list("images/")):
        local.remove(info.key)
    assert (cells(local)["02-27"].state, cells(local)["02-27"].listed) == ("done", 0)


def test_what_does_not_read_fails_its_own_cell_alone(local: LocalStore) -> None:
    for day in (FIRST, LAST):
        put(local, day, "a")
        run(local, day)
    local.write(layout.seal_key("cloth", FIRST, "v1"), b"{")
    put(local, date(2026, 3, 1), "a")
    local.write(layout.manifest_key("cloth", date(2026, 3, 1), "0" * 16), b"half")
    found = cells(local)
    assert (found["02-27"].state, found["03-01"].state, found["03-04"].state) == ("failed", "failed", "done")
    assert "is not a seal" in str(found["02-27"].problem)
    assert "Parquet" in str(found["03-01"].problem)


@pytest.mark.parametrize("engine", ["torch", "openvino 2026.4.1"])
def test_an_unchanged_day_costs_no_look_into_its_manifest_whatever_scored_it(local: LocalStore, engine: str) -> None:
    publish(local)
    put(local, FIRST, "a", "b", "c")
    plan = run(local, FIRST, engine=engine)
    local.write(plan.manifest, b"not to be opened")
    assert cells(local)["02-27"].state == "done"
    put(local, FIRST, "d")
    assert cells(local)["02-27"].state == "failed"


@examples(60)
@given(st.dates(date(2025, 11, 1), date(2026, 4, 30)), st.integers(0, 100), st.integers(-35, 35), st.booleans())
def test_prefixes_of_days_cover_each_day_once_and_no_other(
    first: date, length: int, beyond: int, of_last: bool
) -> None:
    last = first + timedelta(days=length)
    day = (last if of_last else first) + timedelta(days=beyond)
    prefixes = days_below("images/cloth/", first, last)
    hits = [prefix for prefix in prefixes if f"images/cloth/{day}/a".startswith(prefix)]
    assert len(hits) == (1 if first <= day <= last else 0)
    assert len(prefixes) <= 60 + length // 28


def test_cells_come_by_day_and_category_and_counts_add_up(local: LocalStore) -> None:
    put(local, FIRST, "a", category="b-metal")
    put(local, LAST, "a", category="a-cloth")
    grid = read_grid(local, local, FIRST, LAST, {"b-metal": None, "a-cloth": None})
    assert [(cell.run_date, cell.category) for cell in grid.cells] == sorted(
        (FIRST + timedelta(days=i), name) for i in range(6) for name in ("a-cloth", "b-metal")
    )
    assert sum(grid.counts.values()) == len(grid.cells) == 12
    assert grid.undone == (replace(grid.cells[1]), grid.cells[10])


def test_the_mark_of_a_folder_is_no_image(moto_s3: Bucket) -> None:
    for key in (f"images/cloth/{FIRST}/", f"images/cloth/{FIRST}/night/", "images/cloth/2026-03-2/a.png"):
        moto_s3.client().put_object(Bucket=moto_s3.name, Key=key, Body=b"")
    assert {cell.state for cell in cells(open_store(moto_s3.uri)).values()} == {"no images"}
