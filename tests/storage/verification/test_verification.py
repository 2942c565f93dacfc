"""Verification: every kind of damage is one finding with its cure, and a whole store has none."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from proofs.model_cards import made_up_card
from storage import layout
from storage.analysis.compaction import merge_days
from storage.analysis.grid import read_grid
from storage.analysis.queries import run_query
from storage.errors import AccessDenied, ObjectDenied
from storage.filesystem import LocalStore, Store, open_store
from storage.findings import Finding
from storage.models import card as cards
from storage.models import models
from storage.partitions import anomaly_maps, manifests, scores, seals
from storage.stores import checked_json, parquet
from storage.verification import garbage, verification
from storage.verification.verification import Scope, verify
from tests.object_stores import Bucket
from tests.storage.small_nights import (
    DAY,
    NOW,
    SIZE,
    THRESHOLD,
    Night,
    put_images,
    put_model,
    put_night,
    share_weights,
)

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


def edit(store: Store, key: str, old: bytes, new: bytes) -> None:
    data = store.read(key)
    assert old in data
    store.write(key, data.replace(old, new))


def edited_decision(store: Store, night: Night) -> None:
    models.publish_decision(store, "cloth", "v1", {"promote": False})
    edit(store, layout.decision_key("cloth", "v1"), b"false", b"true")


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


def other_maps(store: Store, night: Night, value: float = 3) -> None:
    """Of a batch whose part and seal say that they are its own."""
    shard = anomaly_maps.write_batch_maps(store, night.plan.map_store, 1, np.full((2, SIZE, SIZE), value, np.float16))
    part = night.parts[1]
    digest, _ = scores.write_part(store, part.key, scores.to_rows(scores.read_part(store, part.key)), shard)
    reseal(store, lambda seal: seal["plans"][0]["parts"][1].update(digest=digest))


def swapped_shards(store: Store, night: Night) -> None:
    first, second = (anomaly_maps.shard_key(night.plan.map_store, i) for i in (0, 1))
    kept = store.read(first)
    store.write(first, store.read(second))
    store.write(second, kept)


def changed_rows(**values: object) -> "Damage":
    """The first part's rows with other values: a part all the same, that names the same maps."""

    def change(store: Store, night: Night) -> None:
        key = night.parts[0].key
        table, shard = scores.part_with_maps(store.read(key), key)
        scores.write_part(store, key, [replace(row, **values) for row in scores.to_rows(table)], shard)

    return change


def reseal(store: Store, change: Callable[[dict], object]) -> None:
    rewritten(store, layout.seal_key("cloth", DAY, "v1"), change)


def wrong_shape(store: Store, night: Night) -> None:
    key = f"{night.plan.map_store}/zarr.json"
    store.write(key, json.dumps(json.loads(store.read(key)) | {"shape": [5, SIZE, SIZE + 1]}).encode())


Damage = Callable[[Store, Night], object]
MEND = "rd-inspect backfill --from 2026-03-02 --to 2026-03-02 --category cloth --model v1"
AGAIN = "rd-inspect train --promote"
CASES: dict[str, tuple[Damage, str, str, bool]] = {
    "part gone": (lambda s, n: s.remove(n.parts[1].key), "no such object", "--mend", False),
    "part cut": (lambda s, n: cut(s, n.parts[0].key), "score file is damaged", "--mend", False),
    "part flipped": (lambda s, n: flip(s, n.parts[0].key), "SHA-256", "--mend", False),
    "part rewritten": (rewrite, "SHA-256", "--mend", True),
    "part of another batch": (
        lambda s, n: s.write(n.parts[0].key, s.read(n.parts[1].key)), "its rows are not those", "--mend", False,
    ),
    "a row twice": (twice, "its rows are not those", "--mend", False),
    "shard gone": (lambda s, n: s.remove(f"{n.plan.map_store}/c/1/0/0"), "shard 1 is missing", "--mend", False),
    "shard cut": (lambda s, n: cut(s, f"{n.plan.map_store}/c/1/0/0"), "and its score file names", "--mend", False),
    "shard flipped": (lambda s, n: flip(s, f"{n.plan.map_store}/c/1/0/0"), "has the SHA-256", "--mend", True),
    "shards swapped": (swapped_shards, "has the SHA-256", "--mend", True),
    "maps of others": (other_maps, "2 maps are not those of their rows", "--mend", True),
    "row of another day": (changed_rows(run_date=date(2026, 3, 1)), "is of Partition", "--mend", False),
    "row of another version": (changed_rows(etag="another"), "4 differ, such as", "--mend", False),
    "row judged otherwise": (changed_rows(threshold=3.0), "but the model card has 2.0", "--mend", False),
    "row decided otherwise": (changed_rows(is_anomalous=True), "has is_anomalous = True", "--mend", False),
    "map of another image": (changed_rows(map_index=1), "names map 1 of maps", "--mend", False),
    "array gone": (lambda s, n: s.remove(f"{n.plan.map_store}/zarr.json"), "zarr.json, is missing", "--mend", False),
    "array of another shape": (wrong_shape, "the array's shape is", "--mend", False),
    "manifest cut": (lambda s, n: cut(s, n.plan.manifest), "manifest is damaged", "from a copy", False),
    "seal cut": (lambda s, n: cut(s, layout.seal_key("cloth", DAY, "v1")), "seal is damaged", MEND, False),
    "seal edited": (
        lambda s, n: edit(s, layout.seal_key("cloth", DAY, "v1"), b'"rows": 2', b'"rows": 1'),
        "edited or damaged", MEND, False,
    ),
    "seal of fewer rows": (
        lambda s, n: reseal(s, lambda seal: seal["plans"][0]["parts"][0].update(rows=1)),
        "files with [1, 2, 1] rows, and the manifest's batches have [2, 2, 1]", MEND, False,
    ),
    "seal of fewer parts": (
        lambda s, n: reseal(s, lambda seal: seal["plans"][0]["parts"].pop()),
        "files with [2, 2] rows", MEND, False,
    ),
    "seal of fewer images": (
        lambda s, n: reseal(s, lambda seal: seal["plans"][0].update(images=4, ok=3)),
        "it names 4 images", MEND, False,
    ),
    "seal that does not add up": (
        lambda s, n: reseal(s, lambda seal: seal["plans"][0].update(ok=5)), "but 5 ok, 1 unreadable", MEND, False,
    ),
    "seal of other counts": (
        lambda s, n: reseal(s, lambda seal: seal["plans"][0].update(ok=3, rejected=1)),
        "3 ok, 1 unreadable, 1 rejected, 0 anomalous, and its score files have 4 ok", MEND, False,
    ),
    "seal of more alarms": (
        lambda s, n: reseal(s, lambda seal: seal["plans"][0].update(anomalous=1)), "1 anomalous, and", MEND, False,
    ),
    "seal of another format": (
        lambda s, n: reseal(s, lambda seal: seal.update(schema_version=2)), "format 2", MEND, False,
    ),
    "card edited": (
        lambda s, n: edit(s, layout.card_key("cloth", "v1"), b"2.0", b"2.5"), "edited or damaged", AGAIN, False,
    ),
    "decision edited": (edited_decision, "decision is damaged", "copy", False),
    "card gone": (lambda s, n: s.remove(layout.card_key("cloth", "v1")), "model card is missing", AGAIN, False),
    "weights gone": (lambda s, n: s.remove(layout.weights_key("cloth", "v1")), "they are missing", AGAIN, False),
    "weights cut": (lambda s, n: cut(s, layout.weights_key("cloth", "v1")), "the card promises", AGAIN, False),
    "weights flipped": (lambda s, n: flip(s, layout.weights_key("cloth", "v1")), "SHA-256", AGAIN, True),
    "pointer cut": (lambda s, n: cut(s, layout.champion_key("cloth")), "champion pointer", "promote", False),
    "pointer to nothing": (
        lambda s, n: rewritten(s, layout.champion_key("cloth"), lambda pointer: pointer.update(version="v0")),
        "model card is missing", AGAIN, False,
    ),
    "image changed": (
        lambda s, n: s.write(layout.image_key("cloth", DAY, "a"), b"A"), "1 image changed since v1", MEND,
        False,
    ),
    "image late": (lambda s, n: put_images(s, "z"), "1 image arrived after v1", MEND, False),
    "labels": (lambda s, n: s.write("labels/cloth/x.csv", b"no\n1\n"), "labels cannot be read", "Correct", False),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_damage_is_told_with_its_cure(local: LocalStore, night: Night, name: str) -> None:
    damage, words, cure, deep_only = CASES[name]
    damage(local, night)
    shallow, deep = wrong(local, deep=False), wrong(local)
    assert deep
    assert any(words in one.what and cure in one.cure for one in shallow + deep), shallow + deep
    assert len({one.where for one in deep}) == 1
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
        f"2 images sealed twice, such as {layout.image_key('cloth', DAY, 'a')!r}", "they count twice",
    )  # fmt: skip


def test_a_seal_that_names_no_plan_or_one_twice_is_wrong(local: LocalStore, night: Night) -> None:
    reseal(local, lambda seal: seal["plans"].append(seal["plans"][0]))
    assert f"names {night.plan.digest} twice" in " ".join(one.what for one in wrong(local, deep=False))
    reseal(local, lambda seal: seal.update(plans=[]))
    assert "seal is wrong: it names no plan" in [one.what for one in wrong(local, deep=False)]


@pytest.mark.parametrize("places", [1, pytest.param(60, marks=pytest.mark.slow)])
def test_no_flipped_bit_passes(local: LocalStore, night: Night, places: int) -> None:
    """In each object of each kind."""
    models.publish_decision(local, "cloth", "v1", {"promote": True})
    random = np.random.default_rng(0)
    keys = [info.key for info in local.list("") if not info.key.startswith("images/")]
    for key in keys * places:
        whole = local.read(key)
        flipped = bytearray(whole)
        place = int(random.integers(8 * len(whole)))
        flipped[place // 8] ^= 1 << place % 8
        local.write(key, bytes(flipped))
        assert wrong(local), (key, place)
        local.write(key, whole)
    assert wrong(local) == []


def test_a_version_that_is_not_in_force_is_looked_at_too(local: LocalStore, night: Night) -> None:
    put_model(local, version="v0", champion=False)
    edit(local, layout.card_key("cloth", "v0"), b"2.0", b"2.5")
    assert [(one.where, "edited" in one.what) for one in wrong(local)] == [(layout.card_key("cloth", "v0"), True)]


def test_a_card_written_anew_with_another_threshold_is_seen_by_its_rows(local: LocalStore, night: Night) -> None:
    rewritten(local, layout.card_key("cloth", "v1"), lambda card: card["threshold"].update(value=2.5))
    told = [one.what for one in wrong(local, deep=False)]
    assert len([what for what in told if "threshold 2.0, but the model card has 2.5" in what]) == 3


def test_maps_on_a_scale_of_their_own_are_not_held_against_scores(local: LocalStore, night: Night) -> None:
    def own_scale(card: dict) -> None:
        card["maps"]["maximum_is_score"] = False
        card["pixel_threshold"]["value"] = THRESHOLD  # which the description keeps

    rewritten(local, layout.card_key("cloth", "v1"), own_scale)
    other_maps(local, night)
    assert not wrong(local)
    other_maps(local, night, np.nan)
    assert ["2 maps of scored images have no values" in one.what for one in wrong(local)] == [True]


def test_a_rotten_copy_of_merged_days_is_told(local: LocalStore, night: Night) -> None:
    merge_days(local, now=NOW)
    copy = next(info.key for info in local.list("merged/") if "index" not in info.key)
    flip(local, copy)
    assert [(one.where, "Remove it" in one.cure) for one in wrong(local)] == [(copy, True)]


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
        "5 images disappeared since v1 scored the day, such as 'images/cloth/2026-03-02/a'"
    ]


def test_an_old_model_need_not_have_seen_late_images(local: LocalStore, night: Night) -> None:
    put_model(local, version="v2")
    put_images(local, "z")
    found = verify(local, local, Scope())
    assert [(one.wrong, one.what.split(",")[0]) for one in found.findings] == [
        (False, "1 image arrived after v1 had scored the others")
    ]


def test_what_a_killed_run_left_is_a_note(local: LocalStore, night: Night) -> None:
    put_night(local, version="v3", batches=1, seal=False)
    notes = verify(local, local, Scope()).findings
    assert [one.wrong for one in notes] == [False]
    assert notes[0].what.startswith("1 manifest, 1 maps, 1 part of cloth 2026-03-02 that no seal names")
    assert "rd-inspect gc" in notes[0].cure


def test_folders_that_cannot_be_looked_into_are_told_and_the_rest_is_held(local: LocalStore, night: Night) -> None:
    folder = local.root / f"images/cloth/{DAY}"
    (folder / "again").symlink_to(folder)
    [one] = wrong(local)
    assert one.where.endswith("/again/")
    assert "never end" in one.what
    (folder / "again").unlink()
    folder.rename(local.root / "elsewhere")
    folder.symlink_to("/nowhere/../tmp")
    [one] = wrong(local)
    assert one.where == f"images/cloth/{DAY}/"
    assert "leads out" in one.what


def test_only_what_is_asked_for_is_looked_at(local: LocalStore, night: Night) -> None:
    local.remove(night.parts[0].key)
    for scope in (Scope(date(2026, 3, 3)), Scope(last=date(2026, 3, 1)), Scope(categories=("metal",))):
        found = verify(local, local, scope)
        assert (found.partitions, found.findings) == (0, ())
    assert verify(local, local, Scope(DAY, DAY, ("cloth",))).wrong == 1


def denied(*_: object, **__: object) -> NoReturn:
    raise AccessDenied("injected")


def test_what_cannot_be_looked_at_is_a_finding_and_the_rest_is_looked_at(
    local: LocalStore, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_images(local, "a", category="metal")
    put_model(local, "metal")
    broken = put_night(local, "metal")
    local.remove(broken.parts[0].key)
    before = [one.where for one in wrong(local)]
    for where, name in (
        (models, "read_champion"), (verification, "compare"), (verification, "label_findings"),
        (verification, "find_unsealed"), (manifests, "read_plan"), (manifests, "read_columns"),
    ):  # fmt: skip
        monkeypatch.setattr(where, name, denied)
        told = wrong(local)
        assert any("cannot be verified: injected" in one.what for one in told), name
        assert name == "read_plan" or set(before) <= {one.where for one in told}
        monkeypatch.undo()


def test_a_fault_of_the_whole_store_is_no_finding(
    local: LocalStore, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "read_champion", denied)
    monkeypatch.setattr(LocalStore, "check", denied)
    with pytest.raises(AccessDenied):
        verify(local, local, Scope())


@pytest.mark.parametrize("kind", ["seal", "part", "shard", "card", "champion"])
def test_one_object_that_may_not_be_read_is_told_like_a_damaged_one(
    local: LocalStore, night: Night, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    key = {
        "seal": layout.seal_key("cloth", DAY, "v1"), "part": night.parts[1].key,
        "card": layout.card_key("cloth", "v1"), "shard": anomaly_maps.shard_key(night.plan.map_store, 1),
        "champion": layout.champion_key("cloth"),
    }[kind]  # fmt: skip
    opened = LocalStore.open

    def refuse(self: LocalStore, asked: str) -> object:
        if asked == key:
            raise ObjectDenied("injected")
        return opened(self, asked)

    monkeypatch.setattr(LocalStore, "open", refuse)
    assert ["injected" in one.what and one.cure != "" for one in wrong(local)] == [True]


@pytest.mark.parametrize("kind", ["seal", "manifest", "part", "description", "card", "champion"])
def test_a_link_that_leads_out_of_the_store_is_the_damage_of_one_object(
    local: LocalStore, night: Night, kind: str
) -> None:
    key = {
        "seal": layout.seal_key("cloth", DAY, "v1"), "manifest": night.plan.manifest, "part": night.parts[0].key,
        "description": anomaly_maps.description_key(night.plan.map_store), "card": layout.card_key("cloth", "v1"),
        "champion": layout.champion_key("cloth"),
    }[kind]  # fmt: skip
    (local.root / key).unlink()
    (local.root / key).symlink_to("/nowhere/else")
    found = wrong(local)
    assert [("symbolic link" in one.what, "damaged" in one.what) for one in found] == [(True, True)]
    assert not garbage.find_unsealed(local).leftovers
    (cell,) = read_grid(local, local, DAY, DAY, {"cloth": "v1"}).cells
    assert (cell.state == "failed") == (kind == "seal")


def test_what_lies_among_the_seals_is_told_and_no_reader_takes_it_for_one(local: LocalStore, night: Night) -> None:
    key = layout.seal_key("cloth", DAY, "v1")
    local.write(f"{key.rpartition('/')[0]}/copy.json", local.read(key))
    assert [(one.what, one.cure) for one in wrong(local)] == [
        ("is among the seals but is not a seal", "Move it away.")
    ]
    assert run_query(local, "SELECT count(*) n FROM latest").to_pylist() == [{"n": 5}]


def test_digits_that_are_no_day_are_the_name_of_nothing(local: LocalStore, night: Night) -> None:
    for key in (layout.seal_key("cloth", DAY, "v1"), night.plan.manifest, night.parts[0].key, night.plan.map_store):
        local.write(key.replace("2026-03-02", "2026-02-30") + "/zarr.json" * (key == night.plan.map_store), b"x")
    assert [one.what for one in wrong(local)] == ["is among the seals but is not a seal"]
    assert not garbage.find_unsealed(local).leftovers
    assert merge_days(local, now=NOW).days == 1


def test_an_earlier_champion_stands_in_for_a_damaged_one(local: LocalStore, night: Night) -> None:
    put_model(local, version="v2")
    cut(local, layout.weights_key("cloth", "v2"))
    assert ["rd-inspect rollback" in one.cure for one in wrong(local)] == [True]


def test_shared_weights_are_looked_for_where_they_are(local: LocalStore, night: Night) -> None:
    share_weights(local)
    assert not wrong(local)
    flip(local, layout.weights_key("cloth", "v1"))
    assert {(one.where, one.what.partition(":")[0]) for one in wrong(local)} == {
        (layout.weights_key("cloth", "v1"), "weights are damaged"),
        (layout.weights_key("cloth", "v1"), "weights of v2 are damaged"),
    }
    [instead] = [one.cure for one in wrong(local) if "Until then" in one.cure]
    assert "rd-inspect train --promote" in instead  # the version before has the same weights


def test_weights_that_another_version_scores_with_may_not_be_removed(local: LocalStore) -> None:
    put_model(local)
    share_weights(local)
    local.remove(layout.card_key("cloth", "v1"))
    assert [(one.what, "v2 score with its weights" in one.consequence) for one in wrong(local)] == [
        ("model card is missing", True)
    ]


def test_what_lies_beside_a_shard_is_no_shard(local: LocalStore, night: Night) -> None:
    local.write(f"{anomaly_maps.shard_key(night.plan.map_store, 0).rpartition('/')[0]}/copy", b"x")
    assert not wrong(local)


def test_the_card_of_another_model_is_damage_and_no_measure_of_maps(local: LocalStore, night: Night) -> None:
    local.write(layout.card_key("cloth", "v1"), cards.to_bytes(made_up_card("tile", "v2", side=4)))
    assert ["card of model v2 of 'tile'" in one.what for one in wrong(local)] == [True]


def test_cures_can_be_pasted_whatever_the_store_is_called(tmp_path: Path) -> None:
    (tmp_path / "line 1; $x").mkdir()
    store = LocalStore(tmp_path / "line 1; $x")
    put_model(store)
    put_images(store, *NAMES)
    cut(store, put_night(store, only=["a", "b"]).parts[0].key)
    store.remove(layout.seal_key("cloth", DAY, "v1"))
    cut(store, put_night(store, only=["c", "d"]).parts[0].key)
    store.write(layout.champion_key("cloth"), b"")
    for one in wrong(store):
        words = shlex.split(one.cure)
        assert words[words.index("--store") + 1] == store.uri
        assert words[-1] in (store.uri, "--mend")
