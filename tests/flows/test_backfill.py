"""Backfills and repair on a real Prefect server and real Dask workers: from days with gaps to a whole store."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import dask
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.logging import disable_run_logger
from typer.testing import CliRunner

from flows.backfill import PRIORITY, BackfillIncomplete, BackfillRun, _days, backfill
from flows.cli import app
from flows.night.partition_scoring import _submit
from flows.settings import SettingsError
from storage.analysis.grid import Cell, Grid
from storage.filesystem import Store, open_store
from storage.layout import image_key, seal_key
from storage.partitions import seals
from storage.records import Partition, Plan
from storage.verification.verification import Scope, Verification, verify
from tasks.night.plan_batches import PartitionJob, PartitionPlan, plan_batches
from tasks.night.score_batch import score_batch
from tasks.night.seal_partition import seal_partition
from tests.factories import (
    NOW,
    assert_night_is_whole,
    everything_below,
    pinned,
    png,
    put_images,
    put_model,
    sealed_rows,
)

FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=i) for i in range(3)]
LAST = DAYS[-1]
CATEGORIES = ("cloth", "metal")
NAMES = ["a.png", "b.png", "c.png"]
KEPT = ("scores", "maps", "seals", "manifests")


@dataclass(frozen=True)
class Plant:
    """A store, and a cluster to work on it."""

    store: Store
    scheduler: str

    def backfill(self, first: date = FIRST, last: date = LAST, **more: object) -> BackfillRun:
        return backfill(self.store.uri, first, last, dask_address=self.scheduler, **more)

    def verify(self, *, deep: bool = True) -> Verification:
        return verify(self.store, self.store, Scope(deep=deep))

    def call(self, command: str, *arguments: str, code: int = 0) -> str:
        """A command; what it printed, in one line."""
        if command == "backfill":
            arguments = (*arguments, "--dask-address", self.scheduler)
        said = CliRunner().invoke(
            app, [command, *arguments], env={"COLUMNS": "400", "TERM": "dumb"}, catch_exceptions=False
        )
        assert said.exit_code == code, said.output
        return " ".join(said.output.split())


def states(grid: Grid) -> dict[tuple[str, str], str]:
    return {(cell.category, str(cell.run_date)[-2:]): cell.state for cell in grid.cells}


def state_of(run: BackfillRun) -> str:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run.run_id).state.name


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory, scheduler: str) -> Iterator[Plant]:
    """Three days of two categories: cloth's first day is sealed, its second was interrupted after one batch of two,
    an image of its first was changed and one came late; metal's last day has no images; all else is missing."""
    store = open_store(tmp_path_factory.mktemp("plant"), create=True)
    store.write("categories.toml", b"[plant]\nbatch_images = 2\n")
    for category in CATEGORIES:
        put_model(store, category)
        for day in DAYS[: 2 if category == "metal" else 3]:
            put_images(store, category, NAMES, day)
    score(PartitionJob(store.uri, store.uri, FIRST, pinned("cloth"), "night", NOW, 2), batches=2)
    score(PartitionJob(store.uri, store.uri, DAYS[1], pinned("cloth"), "killed", NOW, 2), batches=1)
    store.write(image_key("cloth", FIRST, "b.png"), png(70))
    store.write(image_key("cloth", FIRST, "d.png"), png(71))
    yield Plant(store, scheduler)


def score(job: PartitionJob, *, batches: int) -> None:
    """A night of two batches, killed after so many."""
    with disable_run_logger():
        planned = plan_batches.fn(job)
        receipts = [score_batch.fn(job.store_uri, job.images_uri, batch) for batch in planned.batches[:batches]]
        if batches == len(planned.batches):
            seal_partition.fn(job.store_uri, planned.plan, receipts, NOW)


@pytest.mark.slow
def test_the_way_from_gaps_to_a_whole_store(plant: Plant) -> None:
    """One test, for each step needs the one before."""
    a_dry_run_tells_and_writes_nothing(plant)
    a_backfill_does_what_is_left_and_nothing_else(plant)
    the_same_again_has_nothing_to_do(plant)
    another_model_adds_and_removes_nothing(plant)
    every_damage_is_found_and_its_cure_works(plant)


def a_dry_run_tells_and_writes_nothing(plant: Plant) -> None:
    before = everything_below(Path(plant.store.uri), "")
    run = plant.backfill(dry_run=True)
    assert (run.outcome, state_of(run)) == ("dry run", "DryRun")
    assert states(run.before) == {
        ("cloth", "02"): "partly",
        ("cloth", "03"): "failed",
        ("cloth", "04"): "missing",
        ("metal", "02"): "missing",
        ("metal", "03"): "missing",
        ("metal", "04"): "no images",
    }
    said = plant.call("status", "--from", str(FIRST), "--to", str(LAST), "--store", plant.store.uri)
    assert "1 partly, 1 failed, 3 missing, 1 no images" in said
    assert "2026-03-02 partly 2/4 missing 3" in said
    said = plant.call("status", "--from", str(FIRST), "--format", "json", "--store", plant.store.uri)
    told = json.loads(said[said.index("{") :])  # before it, on standard error: which images are read
    assert told["counts"] == run.before.counts
    assert everything_below(Path(plant.store.uri), "") == before


def a_backfill_does_what_is_left_and_nothing_else(plant: Plant) -> None:
    interrupted = list(plant.store.list(f"scores/run_date={DAYS[1]}/category=cloth/"))
    run = plant.backfill()
    assert (run.outcome, state_of(run), run.problems) == ("completed", "Completed", ())
    assert run.after.counts == {"done": 5, "partly": 0, "failed": 0, "missing": 0, "training": 0, "no images": 1}
    assert run.versions == {"cloth": "v1", "metal": "v1"}
    assert run.scored == 2 + 3 * 4  # the part of the interrupted day is taken as it is, its rows counted as done now
    for info in interrupted:
        assert plant.store.info(info.key) == info
    for category in CATEGORIES:
        for day in DAYS[: 2 if category == "metal" else 3]:
            keys = [image_key(category, day, name) for name in NAMES]
            if (category, day) == ("cloth", FIRST):
                assert len(sealed_rows(plant.store, category, day)) == 5
            else:
                assert_night_is_whole(plant.store, category, keys, day)
    with get_client(sync_client=True) as client:
        shown = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["backfill-grid"])))
        assert any('"day": "2026-03-04", "cloth": "done 3", "metal": "-"' in str(one.data) for one in shown)


def the_same_again_has_nothing_to_do(plant: Plant) -> None:
    before = everything_below(Path(plant.store.uri), *KEPT)
    said = plant.call("backfill", "--from", str(FIRST), "--to", str(LAST), "--store", plant.store.uri)
    assert "nothing to do" in said
    assert "5 done, 1 no images" in said
    assert everything_below(Path(plant.store.uri), *KEPT) == before


def another_model_adds_and_removes_nothing(plant: Plant) -> None:
    put_model(plant.store, "cloth", "v2", champion=False)
    before = everything_below(Path(plant.store.uri), *KEPT)
    with pytest.raises(SettingsError, match=r"'v2' is not one of metal.*exactly one --category, such as cloth"):
        plant.backfill(model="v2")
    run = plant.backfill(FIRST, DAYS[1], categories=["cloth"], model="v2", oldest_first=True)
    assert (run.outcome, run.scored) == ("completed", 4 + 3)
    assert [cell.others for cell in run.after.cells] == [("v1",), ("v1",)]
    after = everything_below(Path(plant.store.uri), *KEPT)
    assert before.items() <= after.items()
    assert all("v2" in name or name.startswith("manifests") for name in after.keys() - before.keys())
    assert {cell.state for cell in plant.backfill(dry_run=True).after.cells} == {"done", "no images"}


def every_damage_is_found_and_its_cure_works(plant: Plant) -> None:
    store, root = plant.store, Path(plant.store.uri)
    assert plant.verify().wrong == 0
    maps = next(info.key for info in store.list(f"maps/cloth/{DAYS[1]}/v1/") if "/c/1/" in info.key)
    part = next(info.key for info in store.list(f"scores/run_date={FIRST}/category=metal/"))
    weights = "models/metal/v1/weights.safetensors"
    whole = {key: store.read(key) for key in (maps, part, weights)}
    store.remove(maps)
    (root / part).write_bytes(whole[part][:-9])
    (root / weights).write_bytes(whole[weights][:-1] + b"x")
    found = {one.where: one for one in plant.verify().findings if one.wrong}
    assert set(found) == {maps.split("/c/")[0], part, weights}
    assert "shard 1 is gone" in found[maps.split("/c/")[0]].what
    assert "rd-inspect rollback --category metal" in found[weights].cure
    said = plant.call("verify", "--deep", "--store", store.uri, code=1)
    assert "3 wrong" in said and "--mend" in said
    (root / weights).write_bytes(whole[weights])  # restored from a copy, as its cure says
    for where in (maps.split("/c/")[0], part):
        plant.call(*found[where].cure.removeprefix("rd-inspect ").split())
    after = plant.verify()
    assert after.wrong == 0
    assert [one.where for one in after.findings] == sorted(one.where for one in after.findings)
    assert store.read(maps) == whole[maps]
    assert_night_is_whole(store, "metal", [image_key("metal", FIRST, name) for name in NAMES], FIRST)
    mended = seals.read_seal(store, Partition("metal", FIRST, "v1"))
    assert mended is not None and part not in [one.key for one in mended.plans[0].parts]
    left = plant.call("gc", "--older-than", "0", "--store", store.uri)
    assert part in left and "Nothing was removed" in left
    plant.call("gc", "--older-than", "0", "--yes", "--store", store.uri)
    assert store.info(part) is None
    assert plant.verify().findings == ()
    assert "nothing is wrong" in plant.call("verify", "--store", store.uri)


def test_what_cannot_be_done_is_told_and_the_rest_is(scheduler: str, tmp_path: Path) -> None:
    store = open_store(tmp_path / "other", create=True)
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png"])
    put_images(store, "paint", ["a.png"])
    store.write(seal_key("cloth", FIRST + timedelta(days=1), "v1"), b"{}")
    put_images(store, "cloth", ["a.png"], FIRST + timedelta(days=1))
    with pytest.raises(BackfillIncomplete, match="2 of 4 days by category are left undone") as failed:
        backfill(store.uri, FIRST, FIRST + timedelta(days=1), dask_address=scheduler)
    run = failed.value.run
    assert states(run.after)["cloth", "02"] == "done"
    assert [(one.category, one.run_date) for one in run.problems] == [("paint", None), ("cloth", DAYS[1])]
    assert "rd-inspect train --category paint" in run.problems[0].why
    assert "is not a seal" in run.problems[1].why


def test_days_are_worked_newest_first_or_oldest_first_and_only_what_is_undone() -> None:
    found = (("missing", "done"), ("failed", "partly"), ("no images", "missing"))
    cells = tuple(
        Cell(category, day, "v1", state, 3, 0)
        for day, of_day in zip(DAYS, found, strict=True)
        for category, state in zip(CATEGORIES, of_day, strict=True)
    )
    grid, both = Grid(FIRST, LAST, cells), {name: pinned(name) for name in CATEGORIES}
    newest = _days(grid, both, oldest_first=False)
    assert [(day, [cell.category for cell in some]) for day, some in newest.items()] == [
        (DAYS[2], ["metal"]),
        (DAYS[1], ["cloth", "metal"]),
        (DAYS[0], ["cloth"]),
    ]
    assert list(_days(grid, both, oldest_first=True)) == DAYS
    assert list(_days(grid, {"metal": pinned("metal")}, oldest_first=True)) == DAYS[1:]


def test_batches_of_a_night_overtake_those_of_a_backfill(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(score_batch, "submit", lambda *_: seen.append(dask.get_annotations()["priority"]))
    for batches, priority in ((400, 0), (1, PRIORITY)):
        plan = Plan(Partition("cloth", FIRST, "v1"), "digest", "manifest", "maps", batches, 1, "run", NOW)
        job = PartitionJob("store", "images", FIRST, pinned("cloth"), "run", NOW)
        _submit(PartitionPlan(job, batches, 0, plan), priority, gpu=False)
    night, backfilled = seen[:400], seen[400:]
    assert len(backfilled) == 1
    assert min(night) > max(backfilled)
