"""Plans: named by content, without what is sealed, with few tasks."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proofs.stub_scorer import warm_stub
from rd_core.detectors.settings import MICRO_BATCH
from storage.analysis.queries import run_query
from storage.filesystem import Store, open_store
from storage.images import content_digest
from storage.layout import image_key
from storage.partitions import manifests
from storage.records import Receipt
from tasks.night.plan_batches import (
    FEWEST_TASKS,
    LARGEST_BATCH,
    LARGEST_SHARD_BYTES,
    MOST_TASKS,
    SHARD_BYTES,
    SMALLEST_BATCH,
    PartitionJob,
    batch_size_for,
    plan_batches,
)
from tasks.night.score_batch import score_batch
from tasks.night.seal_partition import IncompletePartition, seal_partition
from tests.factories import DAY, NOW, pinned, png, put_images


def job(store: Store, run_id: str = "run-1", **changes: object) -> PartitionJob:
    return replace(PartitionJob(store.uri, store.uri, DAY, pinned("cloth"), run_id, NOW), **changes)


def score_and_seal(store: Store, planned) -> None:
    receipts = [score_batch.fn(store.uri, store.uri, batch) for batch in planned.batches]
    seal_partition.fn(store.uri, planned.plan, receipts, NOW)


@given(st.integers(1, 10_000_000))
def test_a_night_has_few_tasks_and_small_ones_where_it_can(images: int) -> None:
    size = batch_size_for(images, map_bytes=2 * 64**2)
    assert -(-images // size) <= MOST_TASKS or size * 2 * 64**2 == LARGEST_SHARD_BYTES
    assert size <= LARGEST_BATCH or images > LARGEST_BATCH * MOST_TASKS
    assert size % MICRO_BATCH == 0
    assert -(-images // size) >= min(FEWEST_TASKS, images // SMALLEST_BATCH)


@given(st.integers(1, 10_000_000), st.integers(11, 26))
def test_a_shard_of_large_maps_stays_small(images: int, exponent: int) -> None:
    size = batch_size_for(images, 2**exponent)
    assert size == 1 or size << exponent <= LARGEST_SHARD_BYTES
    if images <= MOST_TASKS:
        assert size == 1 or size << exponent <= SHARD_BYTES


def test_batches_cover_the_manifest_once(store: Store) -> None:
    keys = put_images(store, "cloth", [f"{i:02}.png" for i in range(7)])
    planned = plan_batches.fn(job(store, batch_images=3))
    assert [(batch.start, batch.stop) for batch in planned.batches] == [(0, 3), (3, 6), (6, 7)]
    assert len({batch.digest for batch in planned.batches}) == 3
    assert [image.key for image in manifests.read_manifest(store, planned.plan.manifest)] == keys


def test_a_later_run_of_the_same_images_adopts_the_first_plan(store: Store) -> None:
    put_images(store, "cloth", ["a.png", "b.png"])
    first = plan_batches.fn(job(store))
    second = plan_batches.fn(job(store, "run-2", planned_at=NOW + timedelta(hours=1)))
    assert second.plan == first.plan
    assert second.plan.run_id == "run-1"


@pytest.mark.parametrize("change", ["image", "model", "batch size"])
def test_other_work_has_another_name(store: Store, change: str) -> None:
    put_images(store, "cloth", ["a.png", "b.png"])
    first = plan_batches.fn(job(store))
    if change == "image":
        store.write(image_key("cloth", DAY, "b.png"), png(99))
        second = plan_batches.fn(job(store))
    elif change == "model":
        second = plan_batches.fn(job(store, model=pinned("cloth", "v2")))
    else:
        second = plan_batches.fn(job(store, batch_images=1))
    assert second.plan.digest != first.plan.digest
    assert {batch.digest for batch in second.batches}.isdisjoint(batch.digest for batch in first.batches)


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.worker.scorer.warm_scorer", warm_stub)


def test_sealed_images_are_left_out_unless_they_changed(store: Store, warm: None) -> None:
    put_images(store, "cloth", ["a.png", "b.png"])
    score_and_seal(store, plan_batches.fn(job(store)))
    again = plan_batches.fn(job(store))
    assert (again.listed, again.sealed, again.plan) == (2, 2, None)
    store.write(image_key("cloth", DAY, "b.png"), png(99))
    store.write(image_key("cloth", DAY, "c.png"), png(100))
    later = plan_batches.fn(job(store))
    assert (later.listed, later.sealed) == (3, 1)
    planned = [image.key for image in manifests.read_manifest(store, later.plan.manifest)]
    assert planned == [image_key("cloth", DAY, "b.png"), image_key("cloth", DAY, "c.png")]


def test_a_picture_that_is_put_back_is_scored_again_and_has_the_last_word(store: Store, warm: None) -> None:
    [key] = put_images(store, "cloth", ["a.png"])
    before, written = store.read(key), []
    for data in (before, png(99), before, png(99)):
        store.write(key, data)
        planned = plan_batches.fn(job(store))
        again = plan_batches.fn(job(store, "run-2"))
        assert again.plan == planned.plan
        score_and_seal(store, planned)
        assert plan_batches.fn(job(store)).plan is None
        rows = run_query(store, "SELECT content_digest FROM latest")["content_digest"].to_pylist()
        assert rows == [content_digest(data)]
        written.append(planned.plan)
    assert len({plan.digest for plan in written}) == 4
    assert [plan.supersedes for plan in written] == [None, *(plan.digest for plan in written[:-1])]
    assert run_query(store, "SELECT 1 FROM scores").num_rows == 4


def test_a_copied_store_goes_on_where_the_first_one_was(store: Store, warm: None, tmp_path: Path) -> None:
    put_images(store, "cloth", ["a.png", "b.png", "c.png"])
    first = plan_batches.fn(job(store))
    score_and_seal(store, first)
    shutil.copytree(store.uri, tmp_path / "copy", copy_function=shutil.copy)
    copy = open_store(tmp_path / "copy")
    assert plan_batches.fn(job(copy)).plan is None
    copy.write(image_key("cloth", DAY, "b.png"), png(99))
    copy.write(image_key("cloth", DAY, "d.png"), png(100))
    later = plan_batches.fn(job(copy, "run-2"))
    assert (later.listed, later.sealed, later.plan.supersedes) == (4, 2, first.plan.digest)
    score_and_seal(copy, later)
    counted = "SELECT count(*) AS rows, count(DISTINCT image_key) AS images FROM"
    assert run_query(copy, f"{counted} scores").to_pylist() == [{"rows": 5, "images": 4}]
    assert run_query(copy, f"{counted} latest").to_pylist() == [{"rows": 4, "images": 4}]


def test_nothing_is_sealed_unless_every_row_is_there_once(store: Store) -> None:
    put_images(store, "cloth", ["a.png", "b.png", "c.png", "d.png"])
    planned = plan_batches.fn(job(store, batch_images=2))
    one, two, three = (Receipt(f"part-{name}", "d" * 64, 2, 2, 0, 0, 0) for name in "abc")
    for receipts in ([one], [one, one], [one, two, three]):
        with pytest.raises(IncompletePartition, match="not complete"):
            seal_partition.fn(store.uri, planned.plan, receipts, NOW)
    assert list(store.list("seals/")) == []
    seal_partition.fn(store.uri, planned.plan, [one, two], NOW)
