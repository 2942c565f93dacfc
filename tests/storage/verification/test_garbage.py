"""Garbage: what no seal names and nobody is at work on goes; nothing else ever does."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage import layout
from storage.errors import AccessDenied
from storage.filesystem import LocalStore, Store, open_store
from storage.partitions.manifests import batch_digest
from storage.partitions.seals import SealedPlan, add_plan, read_seal
from storage.records import ObjectInfo, Partition
from storage.stores import checked_json
from storage.verification import garbage
from storage.verification.garbage import (
    find_expired_maps,
    find_old_temporaries,
    find_old_trainings,
    find_unsealed,
    removable,
    remove_leftovers,
)
from storage.verification.verification import Scope, verify
from tests.object_stores import Bucket
from tests.storage.faulty_store import objects
from tests.storage.small_nights import DAY, NOW, put_images, put_model, put_night

SEAL = layout.seal_key("cloth", DAY, "v1")
WEEK = timedelta(days=7)
LATER = datetime.now(UTC) + timedelta(days=8)


@pytest.fixture(params=["local", "moto_s3"])
def store(request: pytest.FixtureRequest) -> Store:
    place = request.getfixturevalue(request.param)
    return open_store(place.uri) if isinstance(place, Bucket) else place


def plant(store: Store) -> set[str]:
    """A sealed night, and a killed one of another version on the same day: keys of the first and all else kept."""
    put_model(store)
    put_images(store, "a", "b", "c")
    put_night(store)
    store.write("reports/x/y.html", b"report")
    kept = set(objects(store))
    put_night(store, version="v2", batches=1, seal=False)
    return kept


def collect(store: Store, now: datetime = LATER) -> list[garbage.Leftover]:
    return removable(find_unsealed(store).leftovers, now=now, older_than=WEEK)


def test_what_a_killed_run_left_goes_and_nothing_else(store: Store) -> None:
    kept = plant(store)
    found = collect(store)
    assert sorted(one.what for one in found) == ["manifest", "maps", "part"]
    left = {key: data for key, data in objects(store).items() if key not in kept}
    assert sum(one.size for one in found) == sum(map(len, left.values()))
    assert sum(one.objects for one in found) == len(left)
    assert remove_leftovers(store, found, now=LATER, older_than=WEEK) == sorted(
        found, key=lambda one: ["part", "maps", "manifest"].index(one.what)
    )
    assert set(objects(store)) == kept
    assert verify(store, store, Scope(deep=True)).findings == ()
    assert collect(store) == []


def test_a_day_with_anything_young_is_left_alone(local: LocalStore) -> None:
    plant(local)
    assert collect(local, datetime.now(UTC) + timedelta(days=6)) == []
    assert len(collect(local, datetime.now(UTC) + WEEK)) == 3


def test_a_seal_that_appears_meanwhile_wins(local: LocalStore) -> None:
    plant(local)
    night = put_night(local, version="v2", seal=False)
    found = collect(local)
    n = night.plan.images
    sealed = SealedPlan(
        night.plan.manifest, night.plan.digest, night.plan.map_store, n, 2, 1, 0, 0, night.parts, "r", NOW
    )
    add_plan(local, night.partition, sealed)
    before = objects(local)
    assert remove_leftovers(local, found, now=LATER, older_than=WEEK) == []
    assert objects(local) == before


def test_a_run_that_takes_the_plan_up_again_meanwhile_keeps_all_of_it(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(local)
    now = datetime.now(UTC) + WEEK
    found = collect(local, now)
    assert len(found) == 3
    manifest = next(one.key for one in found if one.what == "manifest")
    data, etag = local.read_with_etag(manifest)
    local.replace(manifest, data, etag)  # as tasks.night.renew_plan does
    before = objects(local)
    assert remove_leftovers(local, found, now=now, older_than=WEEK) == []
    assert objects(local) == before


def test_parts_go_before_maps_and_manifests_last(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that is there promises its maps, at every moment."""
    plant(local)
    gone: list[str] = []
    monkeypatch.setattr(LocalStore, "_remove", lambda _, key: gone.append(key))
    monkeypatch.setattr(LocalStore, "_remove_tree", lambda _, key: gone.append(key))
    remove_leftovers(local, collect(local), now=LATER, older_than=WEEK)
    assert [key.split("/")[0] for key in gone] == ["scores", "maps", "manifests"]


def reseal(store: Store, change: Callable[[dict], object]) -> None:
    kept = checked_json.from_bytes(store.read(SEAL), SEAL, "a seal")
    change(kept)
    store.write(SEAL, checked_json.to_bytes(kept))


DOUBTS: dict[str, tuple[Callable[[Store], object], str]] = {
    "cut": (lambda s: s.write(SEAL, s.read(SEAL)[:-9]), "not JSON"),
    "edited": (lambda s: s.write(SEAL, s.read(SEAL).replace(b'"rows": 1', b'"rows": 0')), "edited or damaged"),
    "of fewer rows": (
        lambda s: reseal(s, lambda seal: seal["plans"][0]["parts"][0].update(rows=1)), r"with \[1, 1\]",
    ),
    "of fewer parts": (lambda s: reseal(s, lambda seal: seal["plans"][0]["parts"].pop()), r"files with \[2\] rows"),
    "of no plans": (lambda s: reseal(s, lambda seal: seal.update(plans=[])), "names no plan"),
    "of other maps": (lambda s: reseal(s, lambda seal: seal["plans"][0].update(map_store="x")), "maps in x"),
    "of a later format": (lambda s: reseal(s, lambda seal: seal.update(schema_version=2)), "format 2"),
    "of another day": (
        lambda s: reseal(s, lambda seal: seal["partition"].update(run_date="2020-01-01")), "is the seal of"
    ),
    "under another name": (
        lambda s: (s.write(f"{SEAL}.bak", s.read(SEAL)), s.remove(SEAL)), "has no seal's name",
    ),
    "without a manifest": (
        lambda s: s.remove(read_seal(s, Partition("cloth", DAY, "v1")).plans[0].manifest), "no such object",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DOUBTS)
def test_what_a_damaged_or_shortened_seal_could_mean_stays_and_is_told(local: LocalStore, name: str) -> None:
    plant(local)
    found = collect(local)
    damage, words = DOUBTS[name]
    damage(local)
    before = objects(local)
    seen = garbage.find_unsealed(local)
    assert seen.leftovers == ()
    assert {(one.category, one.run_date, one.whole) for one in seen.kept} == {("cloth", DAY, None)}
    assert re.search(words, " ".join(one.why for one in seen.kept))
    assert remove_leftovers(local, found, now=LATER, older_than=WEEK) == []  # it was damaged right before
    assert find_expired_maps(local, before=DAY) == []
    assert objects(local) == before


def test_a_day_that_lost_its_seal_keeps_everything_until_it_is_sealed_again(local: LocalStore) -> None:
    put_model(local)
    put_images(local, "a", "b", "c")
    night = put_night(local)
    whole = objects(local)
    local.remove(SEAL)
    seen = garbage.find_unsealed(local)
    assert seen.leftovers == ()
    assert [one.whole.plan for one in seen.kept if one.whole] == [night.plan]
    [told] = [one for one in verify(local, local, Scope()).findings if one.wrong]
    assert "3 images of cloth 2026-03-02 scored but not complete" in told.what
    assert "rd-inspect backfill --from 2026-03-02 --to 2026-03-02 --category cloth --model v1" in told.cure
    assert collect(local) == []
    put_night(local)  # what the cure does
    assert objects(local) == whole


def test_a_mended_part_stands_for_its_batch_when_the_seal_is_lost(local: LocalStore) -> None:
    put_model(local)
    put_images(local, "a", "b", "c")
    night = put_night(local)
    first = night.parts[0].key
    mended = layout.part_key("cloth", DAY, "v1", batch_digest(first, 0))
    local.write(mended, local.read(first))
    local.remove(first)
    local.remove(SEAL)
    assert [one.whole.parts for one in garbage.find_unsealed(local).kept if one.whole] == [
        (mended, night.parts[1].key)
    ]
    local.remove(mended)
    assert garbage.find_unsealed(local).kept == ()
    assert len(collect(local)) == 3


def test_in_a_copied_store_a_day_that_lost_its_seal_is_whole_once_it_is_sealed_again(local: LocalStore) -> None:
    put_model(local)
    put_images(local, "a", "b", "c")
    lost = put_night(local)
    local.remove(SEAL)
    put_images(local, "a", "b", "c")  # the same bytes, of another time and inode
    local.write(layout.image_key("cloth", DAY, "a"), b"another picture")
    put_night(local)
    assert [one.whole.plan for one in garbage.find_unsealed(local).kept if one.whole] == [lost.plan]
    put_images(local, "a")
    put_night(local, only=["a"])
    assert garbage.find_unsealed(local).kept == ()
    assert lost.plan.manifest in {one.key for one in collect(local)}
    assert not [one for one in verify(local, local, Scope(deep=True)).findings if one.wrong]


def test_a_whole_plan_whose_images_another_has_sealed_goes(local: LocalStore) -> None:
    put_model(local)
    put_images(local, "a", "b", "c")
    lost = put_night(local, only=["a"], seal=False)
    put_night(local)
    assert {one.key for one in collect(local)} == {lost.plan.manifest, lost.plan.map_store, lost.parts[0].key}


def test_where_the_seals_cannot_be_listed_nothing_is_removed(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(local)
    found, before = collect(local), objects(local)
    listing = LocalStore._list

    def refuse(self: LocalStore, prefix: str, *rest: Any) -> Iterator[ObjectInfo]:
        if prefix.startswith("seals/"):
            raise AccessDenied("injected")
        return listing(self, prefix, *rest)

    monkeypatch.setattr(LocalStore, "_list", refuse)
    for call in (find_unsealed, lambda store: remove_leftovers(store, found, now=LATER, older_than=WEEK)):
        with pytest.raises(AccessDenied, match="injected"):
            call(local)
    monkeypatch.undo()
    assert objects(local) == before


def test_maps_past_their_retention_go_with_a_word_and_scores_stay(local: LocalStore) -> None:
    put_model(local)
    for day in (DAY, DAY + timedelta(days=1)):
        put_images(local, "a", "b", "c", day=day)
    old, new = put_night(local), put_night(local, day=DAY + timedelta(days=1))
    before = objects(local)
    found = find_expired_maps(local, before=DAY + timedelta(days=1))
    assert [(one.key, one.what) for one in found] == [(old.plan.map_store, "maps past retention")]
    assert remove_leftovers(local, found, now=NOW, older_than=WEEK) == found
    after = objects(local)
    word = layout.expired_maps_key(old.plan.map_store)
    assert after.keys() - before.keys() == {word}
    assert before.keys() - after.keys() == {key for key in before if key.startswith(f"{old.plan.map_store}/")}
    assert all(after[key] == data for key, data in before.items() if key in after)
    assert verify(local, local, Scope(deep=True)).findings == ()
    assert find_expired_maps(local, before=DAY + timedelta(days=1)) == []
    assert not find_unsealed(local).leftovers
    assert list(local.list(f"{new.plan.map_store}/"))


def test_temporary_files_of_killed_writers_go_when_old(local: LocalStore) -> None:
    temp = Path(local.uri) / "scores" / ".rd-inspect-00"
    temp.parent.mkdir()
    temp.write_bytes(b"half")
    now = datetime.now(UTC)
    assert find_old_temporaries(local, now=now, older_than=WEEK) == []
    found = find_old_temporaries(local, now=LATER, older_than=WEEK)
    assert [(one.key, one.size) for one in found] == [("scores/.rd-inspect-00", 4)]
    assert remove_leftovers(local, found, now=LATER, older_than=WEEK) == found
    assert not temp.exists()


def test_states_of_trainings_that_nobody_went_on_with_go_when_old(local: LocalStore) -> None:
    key = layout.training_state_key("cloth", "0" * 64)
    local.write(key, b"a state")
    now = datetime.now(UTC)
    assert find_old_trainings(local, now=now, older_than=WEEK) == []
    found = find_old_trainings(local, now=LATER, older_than=WEEK)
    assert [(one.what, one.key, one.category, one.size) for one in found] == [
        ("unfinished training", key, "cloth", 7)
    ]
    assert remove_leftovers(local, found, now=now, older_than=WEEK) == []  # somebody went on with it
    assert remove_leftovers(local, found, now=LATER, older_than=WEEK) == found
    assert list(local.list("trainings/")) == []


def test_a_window_of_days_and_categories(local: LocalStore) -> None:
    plant(local)
    assert len(find_unsealed(local, DAY, DAY, ["cloth"]).leftovers) == 3
    for window in ((date(2026, 3, 3), None, None), (None, date(2026, 3, 1), None), (None, None, ["metal"])):
        assert not find_unsealed(local, *window).leftovers
