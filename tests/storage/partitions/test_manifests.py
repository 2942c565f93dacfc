"""Plans and manifests: the same content has the same plan, whoever plans it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest

from storage.errors import CorruptObject, KeyNotFound, StorageError
from storage.filesystem import LocalStore, Store, open_store
from storage.partitions import manifests
from storage.partitions.manifests import (
    batch_digest,
    plan_digest,
    publish_plan,
    read_manifest,
    read_manifest_slice,
    read_plan,
)
from storage.records import ObjectInfo, Partition, Plan
from storage.stores import parquet
from tests.object_stores import Bucket

NOW = datetime(2026, 3, 3, 2, 0, 0, 123456, tzinfo=UTC)


def publish(store: Store, partition: Partition, images: list[ObjectInfo], **changes: Any) -> Plan:
    options = {"preprocessing": "p1", "batch_size": 4, "run_id": "run-1", "planned_at": NOW, **changes}
    return publish_plan(store, partition, images, **options)


def test_a_plan_is_read_as_published(local: LocalStore, partition: Partition, images: list[ObjectInfo]) -> None:
    odd = replace(images[0], key="images/cloth/2026-03-02/ü 'x'\n.png", modified=NOW)
    old = replace(images[0], key="images/cloth/2026-03-02/v", modified=datetime(1, 1, 2, tzinfo=UTC))
    new = replace(images[0], key="images/cloth/2026-03-02/w", modified=datetime(9999, 12, 30, tzinfo=UTC))
    plan = publish(local, partition, [*images, odd, old, new])
    assert read_plan(local, plan.manifest) == plan
    assert read_manifest(local, plan.manifest) == sorted([*images, odd, old, new], key=lambda image: image.key)
    assert (plan.images, plan.batch_size, plan.run_id, plan.planned_at) == (13, 4, "run-1", NOW)
    assert plan.manifest == f"manifests/run_date=2026-03-02/category=cloth/{plan.digest}.parquet"
    assert plan.map_store == f"maps/cloth/2026-03-02/v1/{plan.digest}.zarr"
    assert len(plan.digest) == 16


def test_the_first_run_of_the_same_content_is_kept(
    local: LocalStore, partition: Partition, images: list[ObjectInfo]
) -> None:
    first = publish(local, partition, images)
    before = local.read(first.manifest)
    again = publish(local, partition, images[::-1], run_id="run-2", planned_at=NOW + timedelta(days=1))
    assert again == first
    assert local.read(first.manifest) == before


def test_the_digest_follows_all_that_changes_a_score(images: list[ObjectInfo]) -> None:
    digests = {
        plan_digest(images, "v1", "p1", 4),
        plan_digest(images[1:], "v1", "p1", 4),
        plan_digest(images[::-1], "v1", "p1", 4),
        plan_digest([replace(images[0], etag="other"), *images[1:]], "v1", "p1", 4),
        plan_digest([replace(images[0], key="other"), *images[1:]], "v1", "p1", 4),
        plan_digest(images, "v2", "p1", 4),
        plan_digest(images, "v1", "p2", 4),
        plan_digest(images, "v1", "p1", 8),
        plan_digest(images, "v1", "p1", 4, "openvino 2026.4.1"),
        plan_digest(images, "v1", "p1", 4, "openvino 2026.5.0"),
        plan_digest(images, "v1", "p1", 4, supersedes="0123456789abcdef"),
        plan_digest(images, "v1", "p1", 4, supersedes="fedcba9876543210"),
    }
    assert len(digests) == 12
    touched = [replace(image, modified=NOW, size=1) for image in images]
    assert plan_digest(touched, "v1", "p1", 4) == plan_digest(images, "v1", "p1", 4)


def test_no_key_and_etag_can_be_mistaken_for_others() -> None:
    def info(key: str, etag: str) -> ObjectInfo:
        return ObjectInfo(key, etag, 1, NOW)

    pairs = [[info("a", 'b"]\n["c", "d')], [info("a", "b"), info("c", "d")], [info("ab", "")], [info("a", "b")]]
    assert len({plan_digest(images, "v", "p", 1) for images in pairs}) == 4


def test_digests_stay_the_same_between_releases(images: list[ObjectInfo]) -> None:
    """Stores in use are found by them."""
    digest = plan_digest(images, "v1", "p1", 4)
    assert digest == "4c1f778f2e9eabc8"
    assert batch_digest(digest, 0) == "2b7ab6835f9d5bee"
    assert len({batch_digest(digest, index) for index in range(1000)}) == 1000


def test_what_makes_no_plan(local: LocalStore, partition: Partition, images: list[ObjectInfo]) -> None:
    with pytest.raises(StorageError, match="planned twice"):
        publish(local, partition, [*images, replace(images[3], etag="newer")])
    with pytest.raises(StorageError, match="0 images"):
        publish(local, partition, [])
    with pytest.raises(StorageError, match="batches of 0"):
        publish(local, partition, images, batch_size=0)
    assert list(local.list("")) == []


@pytest.mark.parametrize("kind", ["local", "moto_s3"])
def test_every_slice_is_what_it_is(
    kind: str, partition: Partition, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = request.getfixturevalue(kind)
    store = open_store(place.uri) if isinstance(place, Bucket) else place
    monkeypatch.setattr(manifests, "_GROUP_ROWS", 8)
    images = [ObjectInfo(f"images/cloth/{i:03}", f"e{i}", i, NOW) for i in range(23)]
    plan = publish(store, partition, images, batch_size=3)
    with parquet.opened(store, plan.manifest) as file:
        assert file.num_row_groups == 4  # of 6: whole batches
    for start in range(0, 24):
        for stop in (start, min(start + 1, 23), min(start + 3, 23), 23):
            if start <= stop:
                assert read_manifest_slice(store, plan.manifest, start, stop) == images[start:stop]
        if kind == "moto_s3" and start > 4:
            break
    for start, stop in ((-1, 3), (0, 24), (5, 4)):
        with pytest.raises(StorageError, match="which has 23"):
            read_manifest_slice(store, plan.manifest, start, stop)


def test_a_slice_of_a_long_manifest_reads_little(
    local: LocalStore, partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [ObjectInfo(f"images/cloth/{i:07}", f"etag-{i * 7919:x}", i, NOW) for i in range(100_000)]
    plan = publish(local, partition, images, batch_size=64)
    asked = []
    read = pq.ParquetFile.read_row_groups

    def spy(self, groups, *args, **kwargs):
        asked.append((list(groups), self.num_row_groups))
        return read(self, groups, *args, **kwargs)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", spy)
    for index in (0, 700, 1562):
        start, stop = index * 64, min(index * 64 + 64, 100_000)
        assert read_manifest_slice(local, plan.manifest, start, stop) == images[start:stop]
    assert [len(groups) for groups, _ in asked] == [1, 1, 1]
    assert asked[0][1] == 25


def test_broken_manifests(local: LocalStore, partition: Partition, images: list[ObjectInfo]) -> None:
    plan = publish(local, partition, images)
    data = local.read(plan.manifest)
    with pytest.raises(KeyNotFound):
        read_plan(local, "manifests/none.parquet")
    local.write(plan.manifest, data[: len(data) // 2])
    with pytest.raises(CorruptObject, match=plan.digest):
        read_manifest(local, plan.manifest)
    local.write(plan.manifest, parquet.to_bytes(manifests.SCHEMA.empty_table()))
    with pytest.raises(CorruptObject, match="is not a plan"):
        read_plan(local, plan.manifest)


def test_a_plan_keeps_its_engine_and_what_it_supersedes(
    local: LocalStore, partition: Partition, images: list[ObjectInfo]
) -> None:
    plan = publish(local, partition, images, engine="openvino 2026.4.1", supersedes="0123456789abcdef")
    assert (plan.engine, plan.supersedes) == ("openvino 2026.4.1", "0123456789abcdef")
    assert read_plan(local, plan.manifest) == plan
