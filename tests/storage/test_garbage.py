"""Garbage: what no seal names and nobody is at work on goes; nothing else ever does."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from storage import garbage, layout
from storage.filesystem import LocalStore, Store, open_store
from storage.garbage import (
    find_expired_maps,
    find_leftovers,
    find_old_temporaries,
    find_old_trainings,
    removable,
    remove_leftovers,
)
from storage.seals import SealedPlan, add_plan
from storage.verification import Scope, verify
from tests.object_stores import Bucket
from tests.storage.faulty_store import objects
from tests.storage.small_nights import DAY, NOW, put_images, put_model, put_night

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
    return removable(find_leftovers(store), now=now, older_than=WEEK)


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
    local.replace(manifest, data, etag)  # as tasks.renew_plan does
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


def test_a_day_whose_seal_does_not_read_is_left_alone(local: LocalStore) -> None:
    plant(local)
    local.write(layout.seal_key("cloth", DAY, "v1"), b"{")
    assert collect(local) == []


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
    assert find_leftovers(local) == []
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
    assert remove_leftovers(local, found, now=LATER, older_than=WEEK) == found
    assert list(local.list("trainings/")) == []


def test_a_window_of_days_and_categories(local: LocalStore) -> None:
    plant(local)
    assert len(find_leftovers(local, DAY, DAY, ["cloth"])) == 3
    for window in ((date(2026, 3, 3), None, None), (None, date(2026, 3, 1), None), (None, None, ["metal"])):
        assert find_leftovers(local, *window) == []
