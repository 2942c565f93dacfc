"""Verification: every kind of damage is one finding with its cure, and a whole store has none."""

import json
from collections.abc import Callable
from datetime import date

import numpy as np
import pytest

from storage import anomaly_maps, checked_json, layout, models, parquet, scores, seals
from storage.errors import TransientFault
from storage.filesystem import LocalStore, Store, open_store
from storage.findings import Finding
from storage.verification import Scope, verify
from tests.object_stores import Bucket
from tests.storage.small_nights import DAY, SIZE, Night, put_images, put_model, put_night

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture(params=["local", "moto_s3"])
def store(request: pytest.FixtureRequest) -> Store:
    place = request.getfixturevalue(request.param)
    return open_store(place.uri) if isinstance(place, Bucket) else place


@pytest.fixture
def night(local: LocalStore) -> Night:
    put_model(local)
    put_images(local, *NAMES)
    return put_night(local)


def wrong(store: Store, *, deep: bool = True) -> list[Finding]:
    return [one for one in verify(store, store, Scope(deep=deep)).findings if one.wrong]


def test_a_whole_store_has_no_finding(store: Store) -> None:
    put_model(store)
    put_images(store, *NAMES)
    put_night(store, only=["a", "b", "c"])
    put_night(store, only=["d", "e"])
    found = verify(store, store, Scope(deep=True))
    assert (found.partitions, found.images, found.findings) == (1, 5, ())


def cut(store: Store, key: str) -> None:
    store.write(key, store.read(key)[:-5])


def flip(store: Store, key: str) -> None:
    """Bits rot near the beginning: in a part, among the image keys."""
    data = bytearray(store.read(key))
    data[min(60, len(data) // 3)] ^= 0xFF
    store.write(key, bytes(data))


def rewritten(store: Store, key: str, change: Callable[[dict], object]) -> None:
    """Another content of our JSON, with the digest of just that."""
    content = checked_json.from_bytes(store.read(key), key, "ours")
    change(content)
    store.write(key, checked_json.to_bytes(content))


def rewrite(store: Store, night: Night) -> None:
    """Another p-value: a Parquet file all the same."""
    table = scores.read_part(store, night.parts[0].key)
    i = table.schema.get_field_index("p_value")
    changed = table.set_column(i, table.schema.field(i), [[0.4] * len(table)])
    store.write(night.parts[0].key, parquet.to_bytes(changed))


def twice(store: Store, night: Night) -> None:
    """The first row in the place of the second."""
    table = scores.read_part(store, night.parts[0].key)
    store.write(night.parts[0].key, parquet.to_bytes(table.take([0, 0])))


def other_maps(store: Store, night: Night) -> None:
    maps = np.full((2, SIZE, SIZE), 3, np.float32)
    anomaly_maps.write_batch_maps(store, night.plan.map_store, 1, maps)


def wrong_shape(store: Store, night: Night) -> None:
    key = f"{night.plan.map_store}/zarr.json"
    store.write(key, json.dumps(json.loads(store.read(key)) | {"shape": [5, SIZE, SIZE + 1]}).encode())


Damage = Callable[[Store, Night], object]
MEND = "rd-inspect backfill --from 2026-03-02 --to 2026-03-02 --category cloth --model v1"
CASES: dict[str, tuple[Damage, str, str, bool]] = {
    "part gone": (lambda s, n: s.remove(n.parts[1].key), "no such object", "--mend", False),
    "part cut": (lambda s, n: cut(s, n.parts[0].key), "part is damaged", "--mend", False),
    "part flipped": (lambda s, n: flip(s, n.parts[0].key), "SHA-256", "--mend", False),
    "part rewritten": (rewrite, "SHA-256", "--mend", True),
    "part of another batch": (
        lambda s, n: s.write(n.parts[0].key, s.read(n.parts[1].key)), "its rows are not those", "--mend", False,
    ),
    "a row twice": (twice, "its rows are not those", "--mend", False),
    "shard gone": (lambda s, n: s.remove(f"{n.plan.map_store}/c/1/0/0"), "shard 1 is gone", "--mend", False),
    "shard cut": (lambda s, n: cut(s, f"{n.plan.map_store}/c/1/0/0"), "maps are damaged", "--mend", True),
    "maps of others": (other_maps, "2 maps are not those of their rows", "--mend", True),
    "array gone": (lambda s, n: s.remove(f"{n.plan.map_store}/zarr.json"), "zarr.json, is gone", "--mend", False),
    "array of another shape": (wrong_shape, "the array is", "--mend", False),
    "manifest cut": (lambda s, n: cut(s, n.plan.manifest), "manifest is damaged", "from a copy", False),
    "seal cut": (lambda s, n: cut(s, layout.seal_key("cloth", DAY, "v1")), "seal is damaged", MEND, False),
    "card gone": (lambda s, n: s.remove(layout.card_key("cloth", "v1")), "model card is gone", "rollback", False),
    "weights gone": (lambda s, n: s.remove(layout.weights_key("cloth", "v1")), "they are gone", "rollback", False),
    "weights cut": (lambda s, n: cut(s, layout.weights_key("cloth", "v1")), "the card promises", "rollback", False),
    "weights flipped": (lambda s, n: flip(s, layout.weights_key("cloth", "v1")), "SHA-256", "rollback", True),
    "pointer cut": (lambda s, n: cut(s, layout.champion_key("cloth")), "champion pointer", "promote", False),
    "pointer to nothing": (
        lambda s, n: rewritten(s, layout.champion_key("cloth"), lambda pointer: pointer.update(version="v0")),
        "model card is gone", "rollback", False,
    ),
    "image changed": (
        lambda s, n: s.write(layout.image_key("cloth", DAY, "a"), b"A"), "1 images have changed since v1", MEND,
        False,
    ),
    "image late": (lambda s, n: put_images(s, "z"), "1 images came after v1", MEND, False),
    "labels": (lambda s, n: s.write("labels/cloth/x.csv", b"no\n1\n"), "labels do not read", "Correct", False),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_damage_is_told_with_its_cure(local: LocalStore, night: Night, name: str) -> None:
    damage, words, cure, deep_only = CASES[name]
    damage(local, night)
    shallow, deep = wrong(local, deep=False), wrong(local)
    assert deep
    assert any(words in one.what and cure in one.cure for one in shallow + deep), shallow + deep
    # What concerns the array as a whole is told of each of its batches, for each is to be mended.
    assert len({(one.where, one.what) for one in deep}) == 1
    assert bool(shallow) != deep_only


def test_an_image_that_is_sealed_twice_as_the_same_picture_is_told(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_model(local)
    put_images(local, "a", "b", "c")
    put_night(local)
    before = local.read(layout.image_key("cloth", DAY, "a"))
    for data in (b"another", before):  # a picture that is replaced and put back is three pictures
        local.write(layout.image_key("cloth", DAY, "a"), data)
        put_night(local, only=["a"])
    assert wrong(local) == []
    monkeypatch.setattr(seals, "_refuse_overlap", lambda *_: None)
    put_night(local, only=["a", "b"])
    [found] = wrong(local)
    assert (found.what, found.consequence) == (
        f"2 images are sealed twice, such as {layout.image_key('cloth', DAY, 'a')!r}", "they count twice",
    )  # fmt: skip


def test_of_two_batches_each_is_told(local: LocalStore, night: Night) -> None:
    for index in (0, 2):
        local.remove(night.parts[index].key)
    assert [one.where for one in wrong(local)] == sorted(night.parts[i].key for i in (0, 2))


def test_maps_removed_on_purpose_and_archived_images_are_nothing_wrong(local: LocalStore, night: Night) -> None:
    local.write(layout.expired_maps_key(night.plan.map_store), b"{}")
    local.remove_tree(f"{night.plan.map_store}/")
    local.remove_tree("images/")
    found = verify(local, local, Scope(deep=True))
    assert found.wrong == 0
    assert [one.what for one in found.findings] == [
        "5 images are gone since v1 scored them, such as 'images/cloth/2026-03-02/a'"
    ]


def test_an_old_model_need_not_have_seen_late_images(local: LocalStore, night: Night) -> None:
    put_model(local, version="v2")
    put_images(local, "z")
    found = verify(local, local, Scope())
    assert [(one.wrong, one.what.split(",")[0]) for one in found.findings] == [
        (False, "1 images came after v1 had scored the others")
    ]


def test_what_a_killed_run_left_is_a_note(local: LocalStore, night: Night) -> None:
    put_night(local, version="v3", batches=1, seal=False)
    notes = verify(local, local, Scope()).findings
    assert [one.wrong for one in notes] == [False]
    assert notes[0].what.startswith("1 manifest, 1 maps, 1 part of cloth 2026-03-02 that no seal names")
    assert "rd-inspect gc" in notes[0].cure


def test_only_what_is_asked_for_is_looked_at(local: LocalStore, night: Night) -> None:
    local.remove(night.parts[0].key)
    for scope in (Scope(date(2026, 3, 3)), Scope(last=date(2026, 3, 1)), Scope(categories=("metal",))):
        found = verify(local, local, scope)
        assert (found.partitions, found.findings) == (0, ())
    assert verify(local, local, Scope(DAY, DAY, ("cloth",))).wrong == 1


def test_a_fault_of_the_store_is_no_finding(local: LocalStore, night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise TransientFault("injected")

    monkeypatch.setattr(models, "read_champion", refuse)
    with pytest.raises(TransientFault):
        verify(local, local, Scope())
