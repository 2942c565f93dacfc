"""Seals: one winner, nothing counted twice, nothing lost."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from storage import layout
from storage.errors import Conflict, CorruptObject
from storage.filesystem import LocalStore, Store, open_store
from storage.partitions.manifests import publish_plan
from storage.partitions.seals import SealedPart, SealedPlan, add_plan, images_in_force, list_seals, read_seal
from storage.records import ObjectInfo, Partition, Plan
from storage.stores import checked_json
from tests.object_stores import Bucket

NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)


def planned(store: Store, partition: Partition, images: list[ObjectInfo], supersedes: str | None = None) -> Plan:
    return publish_plan(
        store, partition, images, preprocessing="p1", batch_size=4, run_id="run-1", planned_at=NOW,
        supersedes=supersedes,
    )  # fmt: skip


def sealed(plan: Plan, run_id: str = "run-1") -> SealedPlan:
    part = SealedPart(f"scores/part-{plan.digest}.parquet", plan.images, "d" * 64)
    return SealedPlan(
        plan.manifest, plan.digest, plan.map_store, plan.images, plan.images, 0, 0, 1, (part,), run_id, NOW,
        supersedes=plan.supersedes,
    )  # fmt: skip


@pytest.fixture(params=["local", "seaweed_s3"])
def store(request: pytest.FixtureRequest) -> Store:
    place = request.getfixturevalue(request.param)
    return open_store(place.uri) if isinstance(place, Bucket) else place


def test_a_seal_is_read_as_written(store: Store, partition: Partition, images: list[ObjectInfo]) -> None:
    assert read_seal(store, partition) is None
    first, second = sealed(planned(store, partition, images[:4])), sealed(planned(store, partition, images[4:]))
    one = add_plan(store, partition, first)
    assert read_seal(store, partition) == one
    assert one.plans == (first,)
    assert images_in_force(store, one) == {image.key: image.etag for image in images[:4]}
    later = replace(second, run_id="run-2", sealed_at=NOW + timedelta(hours=1))
    both = add_plan(store, partition, later)
    assert read_seal(store, partition) == both
    assert both.plans == (first, later)
    assert (both.run_id, both.sealed_at) == ("run-2", NOW + timedelta(hours=1))
    assert images_in_force(store, both) == {image.key: image.etag for image in images}


def test_sealing_the_same_plan_again_changes_nothing(
    local: LocalStore, partition: Partition, images: list[ObjectInfo]
) -> None:
    plan = planned(local, partition, images)
    first = add_plan(local, partition, sealed(plan))
    before = local.read_with_etag(layout.seal_key("cloth", partition.run_date, "v1"))
    assert add_plan(local, partition, sealed(plan, "run-2")) == first
    assert local.read_with_etag(layout.seal_key("cloth", partition.run_date, "v1")) == before


def test_images_are_not_sealed_twice(local: LocalStore, partition: Partition, images: list[ObjectInfo]) -> None:
    add_plan(local, partition, sealed(planned(local, partition, images[:6])))
    before = read_seal(local, partition)
    with pytest.raises(Conflict, match=r"has 1 images, such as 'images/cloth/2026-03-02/005.png'.*run-1"):
        add_plan(local, partition, sealed(planned(local, partition, images[5:]), "run-2"))
    assert read_seal(local, partition) == before


def test_an_image_may_be_sealed_again_by_a_plan_that_knows_of_the_last_one(
    local: LocalStore, partition: Partition, images: list[ObjectInfo]
) -> None:
    """A picture is replaced, and put back: three plans, and the last has the last word."""
    one, other = images[0], replace(images[0], etag="other")
    first = planned(local, partition, [one])
    second = planned(local, partition, [other], supersedes=first.digest)
    third = planned(local, partition, [one], supersedes=second.digest)
    assert len({first.digest, second.digest, third.digest}) == 3
    for plan, etag in ((first, one.etag), (second, other.etag), (third, one.etag)):
        assert images_in_force(local, add_plan(local, partition, sealed(plan))) == {one.key: etag}
    assert len(add_plan(local, partition, sealed(first)).plans) == 3  # sealed already: the order stays


def test_a_plan_that_missed_a_seal_is_not_sealed(
    local: LocalStore, partition: Partition, images: list[ObjectInfo]
) -> None:
    first = planned(local, partition, images[:2])
    add_plan(local, partition, sealed(first))
    changed = [replace(image, etag="other") for image in images[:2]]
    late, blind = (planned(local, partition, [*changed, images[5]], before) for before in (first.digest, None))
    add_plan(local, partition, sealed(planned(local, partition, [replace(images[1], etag="third")], first.digest)))
    for plan in (late, blind):
        with pytest.raises(Conflict, match="Plan again"):
            add_plan(local, partition, sealed(plan))


def test_seals_come_one_after_the_other_whatever_clocks_say(
    local: LocalStore, partition: Partition, images: list[ObjectInfo]
) -> None:
    plans = [sealed(planned(local, partition, [image])) for image in images[:3]]
    for plan, hours in zip(plans, (0, -5, -5), strict=True):
        seal = add_plan(local, partition, replace(plan, sealed_at=NOW + timedelta(hours=hours)))
    assert [plan.digest for plan in seal.plans] == [plan.digest for plan in plans]
    assert [plan.sealed_at - NOW for plan in seal.plans] == [timedelta(microseconds=number) for number in range(3)]
    assert seal.sealed_at == seal.plans[-1].sealed_at
    assert read_seal(local, partition) == seal


def test_of_many_runs_sealing_at_once_none_is_lost(
    store: Store, partition: Partition, images: list[ObjectInfo]
) -> None:
    plans = [sealed(planned(store, partition, [image])) for image in images[:5]]
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda plan: add_plan(store, partition, plan), plans))
    seal = read_seal(store, partition)
    assert seal is not None
    assert sorted(plan.digest for plan in seal.plans) == sorted(plan.digest for plan in plans)


def test_of_many_runs_sealing_the_same_images_one_wins(
    local: LocalStore, partition: Partition, images: list[ObjectInfo]
) -> None:
    plans = [sealed(planned(local, partition, [images[0], image]), f"run-{i}") for i, image in enumerate(images[1:6])]

    def seal_it(plan: SealedPlan) -> bool:
        try:
            add_plan(local, partition, plan)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(5) as pool:
        assert sum(pool.map(seal_it, plans)) == 1
    seal = read_seal(local, partition)
    assert seal is not None
    assert len(seal.plans) == 1


def test_a_store_where_every_swap_is_lost_ends_in_a_conflict(
    local: LocalStore, partition: Partition, images: list[ObjectInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_plan(local, partition, sealed(planned(local, partition, images[:1])))

    def refuse(*_: object) -> None:
        raise Conflict("always")

    monkeypatch.setattr(LocalStore, "_replace", refuse)
    monkeypatch.setattr("storage.stores.swap.time.sleep", lambda _: None)
    with pytest.raises(Conflict, match="50 tries"):
        add_plan(local, partition, sealed(planned(local, partition, images[1:])))


def test_seals_are_listed_by_day_and_category(
    local: LocalStore, partition: Partition, images: list[ObjectInfo]
) -> None:
    places = [
        replace(partition, category=category, run_date=day, model_version=version)
        for day in (date(2026, 3, 1), date(2026, 3, 2))
        for category in ("cloth", "cloth-2")
        for version in ("v1", "v2")
    ]
    for place in places:
        add_plan(local, place, sealed(planned(local, place, images)))

    def listed(**where: object) -> list[Partition]:
        found = [seal.partition for seal in list_seals(local, **where)]
        assert [place.run_date for place in found] == sorted(place.run_date for place in found)
        return sorted(found, key=places.index)

    assert listed() == places
    assert listed(run_date=date(2026, 3, 2)) == places[4:]
    assert listed(category="cloth") == [place for place in places if place.category == "cloth"]
    assert listed(run_date=date(2026, 3, 1), category="cloth-2") == places[2:4]
    assert listed(run_date=date(2026, 3, 3)) == []


def test_a_seal_is_for_people_too(local: LocalStore, partition: Partition, images: list[ObjectInfo]) -> None:
    add_plan(local, partition, sealed(planned(local, partition, images)))
    text = local.read("seals/run_date=2026-03-02/category=cloth/model_version=v1.json").decode()
    kept = json.loads(text)
    assert text == json.dumps(kept, sort_keys=True, indent=2) + "\n"
    assert kept["schema_version"] == 1
    assert kept["partition"] == {"category": "cloth", "run_date": "2026-03-02", "model_version": "v1"}
    assert kept["plans"][0]["parts"][0]["rows"] == 10


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"schema_version": 1, "partition": 3}', b"\xff"])
def test_a_broken_seal_is_not_taken_for_none(local: LocalStore, partition: Partition, data: bytes) -> None:
    local.write(layout.seal_key("cloth", partition.run_date, "v1"), data)
    with pytest.raises(CorruptObject, match="is not a seal"):
        read_seal(local, partition)


def test_a_partition_is_sealed_for_one_library_alone(
    local: LocalStore, partition: Partition, images: list[ObjectInfo]
) -> None:
    first, second, third = (sealed(planned(local, partition, part)) for part in (images[:2], images[2:4], images[4:]))
    add_plan(local, partition, replace(first, engine="openvino 2026.4.1"))
    before = local.read(layout.seal_key("cloth", partition.run_date, "v1"))
    with pytest.raises(Conflict, match=r"scored by torch.*by openvino 2026\.4\.1.*Plan again"):
        add_plan(local, partition, second)
    assert local.read(layout.seal_key("cloth", partition.run_date, "v1")) == before
    both = add_plan(local, partition, replace(third, engine="openvino 2026.5.0"))
    assert [plan.library for plan in both.plans] == ["openvino", "openvino"]
    assert read_seal(local, partition) == both


def resealed(local: LocalStore, partition: Partition, change: Callable[[dict], object]) -> None:
    """The partition's seal with another content, and the digest of just that."""
    key = layout.seal_key("cloth", partition.run_date, "v1")
    kept = checked_json.from_bytes(local.read(key), key, "a seal")
    change(kept)
    local.write(key, checked_json.to_bytes(kept))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda seal: seal["plans"][0].pop("engine"), r"Seal.plans\[0\] lacks 'engine'"),
        (lambda seal: seal["plans"][0].update(parts=[7]), r"Seal.plans\[0\].parts\[0\] is 7"),
        (lambda seal: seal["partition"].update(category="../x"), "category '../x' is not a plain name"),
        (lambda seal: seal["partition"].update(model_version="v2"), "is the seal of .*model_version=v2"),
        (lambda seal: seal.update(schema_version=2), "format 2, and only 1 is known here"),
    ],
)
def test_what_no_seal_has_is_refused_in_words(
    local: LocalStore, partition: Partition, images: list[ObjectInfo], change: Callable[[dict], object], words: str
) -> None:
    add_plan(local, partition, sealed(planned(local, partition, images)))
    resealed(local, partition, change)
    with pytest.raises(CorruptObject, match=words):
        read_seal(local, partition)


def test_a_seal_that_was_edited_is_none(local: LocalStore, partition: Partition, images: list[ObjectInfo]) -> None:
    add_plan(local, partition, sealed(planned(local, partition, images)))
    key = layout.seal_key("cloth", partition.run_date, "v1")
    local.write(key, local.read(key).replace(b'"anomalous": 1', b'"anomalous": 0'))
    with pytest.raises(CorruptObject, match="edited or damaged since"):
        read_seal(local, partition)
