"""Merged days: copies that make queries quick, and never another answer."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from storage import layout
from storage.analysis import merged_days
from storage.analysis.compaction import merge_days
from storage.analysis.merged_days import read_merged_days
from storage.analysis.queries import run_query
from storage.filesystem import LocalStore, Store, open_store
from storage.partitions import scores
from storage.partitions.scores import ScoreRow
from storage.partitions.seals import SealedPart, SealedPlan, add_plan, from_bytes
from storage.records import Partition
from storage.stores import parquet
from storage.verification.verification import Scope, verify
from tests.object_stores import Bucket
from tests.storage import small_nights
from tests.storage.analysis.test_queries import score_night
from tests.storage.faulty_store import objects

NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(days=2)
DAYS = [date(2026, 3, day) for day in (2, 3, 4)]
VIEWS = {
    "scores": "SELECT * FROM scores ORDER BY image_key, model_version, scored_at, map_store",
    "latest": "SELECT * FROM latest ORDER BY image_key",
    "seals": "SELECT * FROM seals ORDER BY map_store",
}


@pytest.fixture(params=["local", "moto_s3"])
def store(request: pytest.FixtureRequest) -> Store:
    place = request.getfixturevalue(request.param)
    return open_store(place.uri) if isinstance(place, Bucket) else place


def answers(store: Store) -> dict[str, list[dict]]:
    return {view: run_query(store, sql).to_pylist() for view, sql in VIEWS.items()}


def merge(store: Store, now: datetime = NOW) -> int:
    done = merge_days(store, now=now)
    assert (done.changing, done.damaged) == ((), ())
    return done.days


def night(store: Store, row: ScoreRow, day: date, names: str, **how: object) -> None:
    """Images named by letters, each of its own day."""
    found = {f"{day}/{name}": 1.0 + ord(name) for name in names}
    score_night(store, replace(row, run_date=day), found, **how)


def plant(store: Store, row: ScoreRow) -> None:
    """Three days: a plain one, one with images scored again, one with late images."""
    night(store, row, DAYS[0], "abc")
    night(store, row, DAYS[1], "abc")
    night(store, row, DAYS[1], "bc", version="v2", scored_at=NOW + timedelta(hours=1))
    night(store, row, DAYS[1], "c", version="v3", scored_at=NOW - timedelta(hours=1))
    night(store, row, DAYS[2], "ab")
    night(store, row, DAYS[2], "cd", sealed_at=NOW + timedelta(hours=2))


def test_no_answer_changes(store: Store, ok_row: ScoreRow) -> None:
    plant(store, ok_row)
    before = answers(store)
    sealed = objects(store)
    assert merge(store) == 3
    assert answers(store) == before
    assert len(before["latest"]) == 10
    assert {key: data for key, data in objects(store).items() if not key.startswith("merged/")} == sealed
    assert merge(store) == 0
    for info in store.list("scores/"):
        store.remove(info.key)
    assert answers(store) == before, "copies are read in place of parts"


@pytest.mark.parametrize("seed", range(4))
def test_no_order_of_nights_and_merges_changes_an_answer(local: LocalStore, ok_row: ScoreRow, seed: int) -> None:
    random = np.random.default_rng(seed)
    names = iter(range(100))
    for step in range(9):
        day = DAYS[random.integers(len(DAYS))]
        chosen = "".join(random.choice(list("abcdef"), random.integers(1, 5), replace=False))
        at = NOW + timedelta(minutes=int(random.integers(3)))
        night(
            local, ok_row, day, chosen, version=f"v{next(names)}", scored_at=at, sealed_at=NOW + timedelta(hours=step)
        )
        if random.random() < 0.5:
            merge(local)
    found = answers(local)
    for info in list(local.list(layout.MERGED_PREFIX)):
        local.remove(info.key)
    assert answers(local) == found


def test_a_day_that_grew_is_read_from_its_parts(local: LocalStore, ok_row: ScoreRow) -> None:
    night(local, ok_row, DAYS[0], "ab")
    night(local, ok_row, DAYS[1], "ab")
    merge(local)
    night(local, ok_row, DAYS[0], "cd")
    merged = read_merged_days(local)
    assert merged is not None
    assert (merged.others, [day.run_date for day in merged.days]) == ((DAYS[0],), [DAYS[1]])
    assert len(answers(local)["scores"]) == len(answers(local)["latest"]) == 6
    assert merge(local) == 1
    assert len(answers(local)["scores"]) == len(answers(local)["latest"]) == 6


def damage_index(store: Store) -> None:
    store.write(layout.MERGED_INDEX_KEY, b"no parquet")


def damage_copies(store: Store) -> None:
    for info in store.list(layout.MERGED_PREFIX):
        if info.key != layout.MERGED_INDEX_KEY:
            store.write(info.key, store.read(info.key)[:-1])


def remove_superseded(store: Store) -> None:
    for info in list(store.list(layout.MERGED_PREFIX)):
        if "superseded" in info.key:
            store.remove(info.key)


def write_other_columns(store: Store) -> None:
    store.write(layout.MERGED_INDEX_KEY, parquet.to_bytes(pa.table({"x": [1]})))


def age_rows(store: Store) -> None:
    index = merged_days.read_index(store)
    number = index.schema.get_field_index("rows_version")
    older = pa.array([scores.SCHEMA_VERSION - 1] * len(index), pa.int32())
    store.write(
        layout.MERGED_INDEX_KEY, parquet.to_bytes(index.set_column(number, index.schema.field(number), older))
    )


@pytest.mark.parametrize("damage", [damage_index, damage_copies, remove_superseded, write_other_columns, age_rows])
def test_copies_that_do_not_hold_are_not_used(
    local: LocalStore, ok_row: ScoreRow, damage: Callable[[Store], None]
) -> None:
    plant(local, ok_row)
    before = answers(local)
    merge(local)
    damage(local)
    assert answers(local) == before
    assert merge(local) > 0
    assert answers(local) == before
    assert merge(local) == 0


def test_a_copy_is_never_written_over_with_rows_in_another_order(local: LocalStore, ok_row: ScoreRow) -> None:
    """Who began to read it before would read half of each."""
    night(local, ok_row, DAYS[0], "a", version="v1")
    night(local, ok_row, DAYS[0], "a", version="v2", sealed_at=NOW + timedelta(hours=1))
    merge(local)
    before = {key: data for key, data in objects(local).items() if key.startswith(f"{layout.MERGED_PREFIX}2026")}
    key = layout.seal_key("cloth", DAYS[0], "v1")
    [plan] = from_bytes(local.read(key), key).plans
    local.remove(key)
    add_plan(local, Partition("cloth", DAYS[0], "v1"), replace(plan, sealed_at=NOW + timedelta(hours=2)))
    assert merge(local) == 1
    assert {key: local.read(key) for key in before} == before
    assert answers(local)["latest"][0]["model_version"] == "v1"


def test_copies_of_a_copied_store_hold_again_without_a_look_at_its_parts(local: LocalStore, ok_row: ScoreRow) -> None:
    plant(local, ok_row)
    merge(local)
    before = answers(local)
    for info in list(local.list("")):
        local.write(info.key, local.read(info.key))  # of another inode and time
    assert read_merged_days(local).others == tuple(DAYS)
    assert answers(local) == before
    copies = {key: data for key, data in objects(local).items() if key.startswith(f"{layout.MERGED_PREFIX}2026")}
    local.remove_tree("scores/")
    done = merge_days(local, now=NOW)
    assert (done.days, done.held, done.damaged) == (0, 3, ())
    assert answers(local) == before
    assert {key: local.read(key) for key in copies} == copies


def test_a_damaged_part_keeps_its_day_unmerged_and_is_told(local: LocalStore, ok_row: ScoreRow) -> None:
    plant(local, ok_row)
    part = next(info.key for info in local.list("scores/run_date=2026-03-03/"))
    table = scores.read_part(local, part)
    local.write(part, parquet.to_bytes(table) + b" ")
    done = merge_days(local, now=NOW)
    assert done.days == 2
    assert part in done.damaged[0]
    assert "rd-inspect verify" in done.damaged[0]
    merged = read_merged_days(local)
    assert merged is not None
    assert merged.others == (DAYS[1],)


def test_a_part_with_other_rows_than_sealed_is_refused(local: LocalStore, ok_row: ScoreRow) -> None:
    night(local, ok_row, DAYS[0], "ab")
    [key] = [info.key for info in local.list("scores/")]
    local.write(key, parquet.to_bytes(scores.read_part(local, key).slice(1)))
    assert "does not match its seal" in merge_days(local, now=NOW).damaged[0]
    local.remove(key)
    assert "is missing" in merge_days(local, now=NOW).damaged[0]


class _Killed(BaseException):
    """The process ends here."""


def test_a_merging_killed_at_any_write_goes_on(
    local: LocalStore, ok_row: ScoreRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(local, ok_row)
    before = answers(local)
    kills = 0
    while True:
        left = kills

        def maybe(key: str, data: bytes, *rest: str, work: Callable[..., None]) -> None:
            nonlocal left
            if left == 0:
                raise _Killed
            left -= 1
            work(key, data, *rest)

        with monkeypatch.context() as patch:
            for name in ("_write", "_create", "_replace"):
                work = getattr(local, name)
                patch.setattr(local, name, lambda *given, work=work: maybe(*given, work=work))
            try:
                assert merge(local) == 3
                break
            except _Killed:
                kills += 1
        assert answers(local) == before
    assert kills == 5  # three days, the superseded rows of one, the index
    assert answers(local) == before


def test_a_seal_that_changes_meanwhile_leaves_its_day_for_the_next_time(
    local: LocalStore, ok_row: ScoreRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    night(local, ok_row, DAYS[0], "ab")
    read = local.read_with_etag

    def late(key: str) -> tuple[bytes, str]:
        if key.startswith("seals/"):
            monkeypatch.setattr(local, "read_with_etag", read)
            night(local, ok_row, DAYS[0], "c")
        return read(key)

    monkeypatch.setattr(local, "read_with_etag", late)
    assert merge_days(local, now=NOW).changing == (DAYS[0],)
    assert len(answers(local)["latest"]) == 3
    assert merge(local) == 1
    assert len(answers(local)["latest"]) == 3


def test_what_is_forgotten_goes_after_a_day(local: LocalStore, ok_row: ScoreRow) -> None:
    night(local, ok_row, DAYS[0], "ab")
    merge(local)
    [old] = [info.key for info in local.list(layout.MERGED_PREFIX) if info.key != layout.MERGED_INDEX_KEY]
    night(local, ok_row, DAYS[0], "c")
    assert merge_days(local, now=datetime.now(UTC)).removed == 0
    assert local.info(old) is not None
    assert merge_days(local, now=LATER).removed == 1
    assert local.info(old) is None
    assert len(answers(local)["latest"]) == 3


def test_a_day_without_seals_is_forgotten(local: LocalStore, ok_row: ScoreRow) -> None:
    night(local, ok_row, DAYS[0], "ab")
    night(local, ok_row, DAYS[1], "ab")
    merge(local)
    local.remove(layout.seal_key("cloth", DAYS[0], "v1"))
    assert len(answers(local)["scores"]) == 2
    assert merge_days(local, now=LATER).removed == 1
    assert set(merged_days.read_index(local)["run_date"].to_pylist()) == {DAYS[1]}


def test_a_store_with_merged_days_verifies(local: LocalStore) -> None:
    small_nights.put_model(local)
    small_nights.put_images(local, "a", "b", "c")
    small_nights.put_night(local)
    assert merge(local) == 1
    assert verify(local, local, Scope(deep=True)).findings == ()


def test_an_empty_store_merges_nothing(local: LocalStore) -> None:
    done = merge_days(local, now=NOW)
    assert (done.days, done.rows, done.parts, done.held, done.removed) == (0, 0, 0, 0, 0)
    assert read_merged_days(local) is None


def test_all_categories_of_a_day_lie_in_one_copy(local: LocalStore, ok_row: ScoreRow) -> None:
    for category in ("z", "m", "a"):
        row = replace(ok_row, category=category, map_store=f"maps/{category}.zarr", image_key=f"images/{category}/1")
        key = layout.part_key(category, row.run_date, "v1", "x")
        digest, count = scores.write_part(local, key, [row])
        parts = (SealedPart(key, count, digest),)
        partition = Partition(category, row.run_date, "v1")
        plan = SealedPlan("m", category, row.map_store or "", 1, 1, 0, 0, 1, parts, "r", NOW)
        add_plan(local, partition, plan)
    assert merge(local) == 1
    [copy] = [info.key for info in local.list(f"{layout.MERGED_PREFIX}2026")]
    assert scores.read_part(local, copy)["category"].to_pylist() == ["a", "m", "z"]
