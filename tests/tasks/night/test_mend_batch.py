"""Mending: a new part, one swap of the seal, nothing lost; and never at the price of rows whose images are gone."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from proofs.model_cards import publish_made_up
from proofs.stub_scorer import StubScorer, warm_stub
from storage import layout
from storage.errors import Conflict, CorruptObject, KeyNotFound
from storage.filesystem import Store, open_store
from storage.partitions import manifests, scores, seals
from storage.partitions.mended_seals import replace_part
from storage.partitions.seals import SealedPart, SealedPlan
from storage.records import Partition, Receipt
from storage.stores import checked_json
from storage.verification.damage import Damage, DamagedBatch, DamagedDescription, partition_damage
from storage.verification.verification import Scope, verify
from tasks.night.mend_batch import ImagesChanged, mend_batch
from tasks.night.mend_description import mend_description
from tasks.night.plan_batches import PartitionJob, plan_batches
from tasks.night.renew_plan import renew_plan
from tasks.night.score_batch import score_batch
from tasks.night.seal_partition import seal_partition
from tests.factories import DAY, NOW, SIZE, everything_below, pinned, png, put_images

NIGHT = Partition("cloth", DAY, "v1")
SEAL = layout.seal_key("cloth", DAY, "v1")


@pytest.fixture
def sealed(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A night of three batches; the images' keys."""
    monkeypatch.setattr("tasks.worker.scorer.warm_scorer", warm_stub)
    publish_made_up(store, side=SIZE, preprocessing={"version": "stub"})
    keys = put_images(store, "cloth", [f"{i}.png" for i in range(5)])
    inspect(store)
    return keys


def inspect(store: Store) -> None:
    """What a night, and a backfill of its day, does."""
    level = float(StubScorer.threshold)
    model = replace(pinned("cloth"), threshold=level, map_threshold=level)
    planned = plan_batches.fn(PartitionJob(store.uri, store.uri, DAY, model, "run-1", NOW, 2))
    receipts = [score_batch.fn(store.uri, store.uri, batch) for batch in planned.batches]
    assert planned.plan is not None
    seal_partition.fn(store.uri, planned.plan, receipts, NOW)


def looked_at(store: Store) -> list[Damage]:
    seal = seals.read_seal(store, NIGHT)
    assert seal is not None
    return sorted(partition_damage(store, seal, deep=True), key=lambda one: isinstance(one, DamagedBatch))


def damage(store: Store) -> list[DamagedBatch]:
    return [one for one in looked_at(store) if isinstance(one, DamagedBatch)]


def part_keys(store: Store) -> list[str]:
    seal = seals.read_seal(store, NIGHT)
    assert seal is not None
    return [part.key for plan in seal.plans for part in plan.parts]


def test_damaged_batches_are_scored_beside_and_sealed_in_their_place(store: Store, sealed: list[str]) -> None:
    before = part_keys(store)
    store.write(before[0], b"no part")
    store.remove(before[2])
    (plan,) = seals.read_seal(store, NIGHT).plans
    store.remove(f"{plan.map_store}/c/1/0/0")  # its part is whole
    kept = store.read(before[1])
    found = damage(store)
    assert [one.index for one in found] == [0, 1, 2]
    for one in [*found, *found]:  # a task may run twice
        mend_batch.fn(store.uri, store.uri, one)
    after = part_keys(store)
    assert damage(store) == []
    assert not set(after) & set(before)
    assert sorted(scores.read_scores(store, after)["image_key"].to_pylist()) == sealed
    assert store.read(before[1]) == kept
    (mended,) = seals.read_seal(store, NIGHT).plans
    assert (mended.images, mended.ok, mended.unreadable, mended.anomalous) == (5, 5, 0, 0)
    text = store.read(layout.seal_key("cloth", DAY, "v1")).decode()
    assert text == json.dumps(json.loads(text), sort_keys=True, indent=2) + "\n"


def flip(store: Store, key: str) -> None:
    data = bytearray(store.read(key))
    data[len(data) // 2] ^= 1
    store.write(key, bytes(data))


def first_plan(store: Store) -> SealedPlan:
    seal = seals.read_seal(store, NIGHT)
    assert seal is not None
    return seal.plans[0]


CURES: dict[str, Callable[[Store], object]] = {
    "part flipped": lambda s: flip(s, first_plan(s).parts[1].key),
    "part gone": lambda s: s.remove(first_plan(s).parts[1].key),
    "shard flipped": lambda s: flip(s, f"{first_plan(s).map_store}/c/1/0/0"),
    "shard gone": lambda s: s.remove(f"{first_plan(s).map_store}/c/2/0/0"),
    "zarr.json gone": lambda s: s.remove(f"{first_plan(s).map_store}/zarr.json"),
    "zarr.json flipped": lambda s: flip(s, f"{first_plan(s).map_store}/zarr.json"),
    "maps gone": lambda s: s.remove_tree(f"{first_plan(s).map_store}/"),
    "manifest cut": lambda s: s.write(first_plan(s).manifest, s.read(first_plan(s).manifest)[:-9]),
    "manifest gone": lambda s: s.remove(first_plan(s).manifest),
    "seal flipped": lambda s: flip(s, SEAL),
    "seal of fewer parts": lambda s: reseal(s, lambda seal: seal["plans"][0]["parts"].pop()),
}


def reseal(store: Store, change: Callable[[dict], object]) -> None:
    kept = checked_json.from_bytes(store.read(SEAL), SEAL, "a seal")
    change(kept)
    store.write(SEAL, checked_json.to_bytes(kept))


@pytest.mark.parametrize("name", CURES)
def test_the_cure_that_is_printed_mends(store: Store, sealed: list[str], name: str) -> None:
    before = everything_below(Path(store.uri), "scores", "maps")
    CURES[name](store)
    told = [one for one in verify(store, store, Scope(deep=True)).findings if one.wrong]
    assert told
    for one in told:
        follow(store, one.cure)
    assert [one for one in verify(store, store, Scope(deep=True)).findings if one.wrong] == []
    after = everything_below(Path(store.uri), "scores", "maps")
    assert {key: data for key, data in after.items() if "/c/" in key} == {
        key: data for key, data in before.items() if "/c/" in key
    }
    assert sorted(scores.read_scores(store, part_keys(store))["image_key"].to_pylist()) == sealed
    if "zarr.json" in name:  # nothing was scored for it
        assert after == before


def follow(store: Store, cure: str) -> None:
    """Do what a cure says: what is to be removed by hand, and then its command, which may be given again."""
    commands = re.findall(r"rd-inspect backfill --from 2026-03-02 --to 2026-03-02 --category cloth --model v1", cure)
    assert len(commands) == 1
    if "emove" in cure:
        where = first_plan(store).manifest if "seals/" in cure else None
        for key in filter(None, [SEAL, where]):
            store.remove(key)
    if not cure.endswith("--mend"):
        inspect(store)
        return
    found = looked_at(store)
    for one in [*found, *found]:
        task = mend_description if isinstance(one, DamagedDescription) else mend_batch
        task.fn(store.uri, store.uri, one)


def test_maps_without_a_description_need_their_models_card(store: Store, sealed: list[str]) -> None:
    store.remove(f"{first_plan(store).map_store}/zarr.json")
    store.remove(layout.card_key("cloth", "v1"))
    (found,) = looked_at(store)
    with pytest.raises(CorruptObject, match="card of model v1 does not tell"):
        mend_description.fn(store.uri, store.uri, found)


def test_a_part_whose_maps_are_others_is_not_taken_up_again(store: Store, sealed: list[str]) -> None:
    """After a night that was killed: the receipt of what is there, or none."""
    store.remove(SEAL)
    plan = manifests.read_plan(store, next(info.key for info in store.list("manifests/")))
    for index in range(2):
        flip(store, f"{plan.map_store}/c/{index}/0/0")
    kept = store.read(f"{plan.map_store}/c/2/0/0")
    store.remove(f"{plan.map_store}/c/1/0/0")
    inspect(store)
    assert damage(store) == []
    assert store.read(f"{plan.map_store}/c/2/0/0") == kept


@pytest.mark.parametrize("change", ["gone", "another"])
def test_a_batch_whose_images_changed_is_left_as_it_is(store: Store, sealed: list[str], change: str) -> None:
    (plan,) = seals.read_seal(store, NIGHT).plans
    store.remove(f"{plan.map_store}/c/0/0/0")
    store.remove(sealed[1]) if change == "gone" else store.write(sealed[1], png(99))
    before = everything_below(Path(store.uri), "scores", "seals", "maps")
    (found,) = damage(store)
    with pytest.raises(ImagesChanged, match=r"1 of the batch's 2 images.*1\.png.*from a copy"):
        mend_batch.fn(store.uri, store.uri, found)
    assert everything_below(Path(store.uri), "scores", "seals", "maps") == before


def replan(store: Store) -> list[str]:
    """Keys of what is to be scored."""
    planned = plan_batches.fn(PartitionJob(store.uri, store.uri, DAY, pinned("cloth"), "run-2", NOW, 2))
    return [image.key for image in manifests.read_manifest(store, planned.plan.manifest)] if planned.plan else []


@pytest.mark.parametrize("known_by", ["row", "time", "memory", "nothing"])
def test_a_copied_store_is_mended_where_its_images_are_known_to_be_the_same(
    store: Store, sealed: list[str], tmp_path: Path, known_by: str
) -> None:
    copying = shutil.copy2 if known_by == "time" else shutil.copy
    shutil.copytree(store.uri, tmp_path / "copy", copy_function=copying)
    copy = open_store(tmp_path / "copy")
    if known_by == "memory":
        assert replan(copy) == []
    (plan,) = seals.read_seal(copy, NIGHT).plans
    copy.remove(f"{plan.map_store}/c/1/0/0" if known_by == "row" else plan.parts[1].key)
    (found,) = damage(copy)
    if known_by == "nothing":
        with pytest.raises(ImagesChanged, match="2 of the batch's 2 images"):
            mend_batch.fn(copy.uri, copy.uri, found)
        assert replan(copy) == sealed[2:4]  # they are scored again, and their new rows hold
    else:
        mend_batch.fn(copy.uri, copy.uri, found)
        assert (damage(copy), replan(copy)) == ([], [])


def test_a_seal_that_names_another_part_by_now_is_not_changed(store: Store, sealed: list[str]) -> None:
    key = layout.seal_key("cloth", DAY, "v1")
    before = store.read(key)
    (plan,) = seals.read_seal(store, NIGHT).plans
    receipt = Receipt("scores/new.parquet", "e" * 64, 2, 2, 0, 0, 0)
    with pytest.raises(Conflict, match="does not name scores/other"):
        replace_part(store, NIGHT, SealedPart("scores/other", 2, "d" * 64), receipt)
    with pytest.raises(Conflict, match="with 2 rows"):
        replace_part(store, NIGHT, plan.parts[2], receipt)  # it has one row
    assert store.read(key) == before


def test_a_plan_taken_up_again_is_young_and_the_same(store: Store, sealed: list[str]) -> None:
    (plan,) = seals.read_seal(store, NIGHT).plans
    data, before = store.read(plan.manifest), store.info(plan.manifest)
    renew_plan.fn(store.uri, plan.manifest)
    after = store.info(plan.manifest)
    assert store.read(plan.manifest) == data
    assert before is not None and after is not None and after.modified > before.modified
    store.remove(plan.manifest)
    with pytest.raises(KeyNotFound):
        renew_plan.fn(store.uri, plan.manifest)
