"""The same bytes are the same image, wherever the store was copied, and the bytes are read once."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from storage import layout
from storage.analysis.grid import read_grid
from storage.errors import ObjectDenied
from storage.filesystem import LocalStore, Store, open_store
from storage.images import list_images
from storage.partitions import scores
from storage.partitions.same_images import Comparison, compare
from storage.partitions.seals import read_seal
from storage.verification.verification import Scope, verify
from tests.object_stores import Bucket
from tests.storage.small_nights import DAY, Night, put_images, put_model, put_night

NAMES = ("a", "b", "c", "d", "e")
A, B = (layout.image_key("cloth", DAY, name) for name in "ab")
MEMORY = layout.settled_key("cloth", DAY)


@pytest.fixture
def night(local: LocalStore) -> Night:
    put_model(local)
    put_images(local, *NAMES)
    put_night(local, only=["a", "b", "c"])
    return put_night(local, only=["d", "e"])


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of images whose bytes are read from now on."""
    keys: list[str] = []
    whole = LocalStore.read_with_etag

    def reading(self: LocalStore, key: str) -> tuple[bytes, str]:
        keys.extend([key] if key.startswith("images/") else [])
        return whole(self, key)

    monkeypatch.setattr(LocalStore, "read_with_etag", reading)
    return keys


def look(store: Store, night: Night, *, tell: Callable[[str], object] = lambda _: None) -> Comparison:
    there = list(list_images(store, "cloth", DAY))
    return compare(store, store, read_seal(store, night.partition), there, tell=tell)


def with_times(store: LocalStore, to: Path) -> LocalStore:
    shutil.copytree(store.root, to)
    return LocalStore(to)


def without_times(store: LocalStore, to: Path) -> LocalStore:
    shutil.copytree(store.root, to, copy_function=shutil.copy)
    return LocalStore(to)


def touched(store: LocalStore, _: Path) -> LocalStore:
    for path in store.root.rglob("*"):
        os.utime(path)
    return store


def rewritten(store: LocalStore, _: Path) -> LocalStore:
    for info in list(store.list("")):
        store.write(info.key, store.read(info.key))
    return store


@pytest.mark.parametrize("moved", [with_times, without_times, touched, rewritten])
def test_a_store_whose_bytes_are_the_same_is_done_and_has_nothing_wrong(
    local: LocalStore, night: Night, tmp_path: Path, read: list[str], moved: Callable[[LocalStore, Path], LocalStore]
) -> None:
    copy, told = moved(local, tmp_path / "copy"), list[str]()
    before = {info.key: copy.read(info.key) for info in copy.list("")}
    read.clear()
    for _ in range(2):  # one that only reads finds it anew each time
        reader = open_store(copy.root, read_only=True)
        assert verify(reader, reader, Scope(deep=True)).findings == ()
        assert sorted(read) == [layout.image_key("cloth", DAY, name) for name in NAMES]
        read.clear()
    assert {info.key: copy.read(info.key) for info in copy.list("")} == before
    read.clear()
    [cell] = read_grid(copy, copy, DAY, DAY, {"cloth": "v1"}, tell=told.append).cells
    assert (cell.state, cell.sealed, len(read)) == ("done", 5, 5)
    assert told == [one for one in told if one.startswith("5 images of cloth 2026-03-02 have other times")] != []
    assert look(copy, night, tell=pytest.fail) == Comparison(5, (), (), ())
    assert verify(copy, copy, Scope()).findings == ()
    assert len(read) == 5


def test_a_store_that_went_to_s3_and_back_is_the_same(
    local: LocalStore, night: Night, moto_s3: Bucket, tmp_path: Path
) -> None:
    def copied(here: Store, there: Store) -> Store:
        for info in here.list(""):
            there.write(info.key, here.read(info.key))
        return there

    bucket = copied(local, open_store(moto_s3.uri))
    back = copied(bucket, open_store(tmp_path / "back", create=True))
    for store in (bucket, back):
        assert look(store, night) == Comparison(5, (), (), ())
        assert verify(store, store, Scope(deep=True)).findings == ()


def test_where_no_etag_differs_neither_images_nor_scores_are_opened(
    local: LocalStore, night: Night, read: list[str]
) -> None:
    local.remove_tree("scores/")
    assert look(local, night) == Comparison(5, (), (), ())
    assert (read, local.info(MEMORY)) == ([], None)


def test_only_what_is_another_picture_has_changed(local: LocalStore, night: Night, read: list[str]) -> None:
    rewritten(local, Path())
    local.write(A, b"A")  # of the same size
    local.write(B, b"another")
    put_images(local, "z")
    local.remove(layout.image_key("cloth", DAY, "e"))
    read.clear()
    found = look(local, night)
    assert (found.same, [one.key for one in found.changed]) == (2, [B, A])
    assert [one.key for one in found.late] == [layout.image_key("cloth", DAY, "z")]
    assert found.gone == (layout.image_key("cloth", DAY, "e"),)
    assert B not in read


def test_a_picture_that_is_put_back_is_the_one_before_until_another_is_sealed(
    local: LocalStore, night: Night
) -> None:
    before = local.read(A)
    local.write(A, b"A")
    assert [one.key for one in look(local, night).changed] == [A]
    local.write(A, before)
    assert look(local, night).same == 5
    local.write(A, b"A")
    put_night(local, only=["a"])
    assert look(local, night).same == 5
    local.write(A, before)
    assert [one.key for one in look(local, night).changed] == [A]


def test_what_is_remembered_holds_for_the_version_it_was_compared_with_alone(local: LocalStore, night: Night) -> None:
    touched(local, Path())
    assert look(local, night).same == 5
    before = local.root / A
    aside = before.rename(local.root / "aside")
    local.write(A, b"A")
    put_night(local, only=["a"])
    aside.rename(before)  # with the etag that is remembered
    assert [one.key for one in look(local, night).changed] == [A]


def test_what_one_model_version_saw_says_nothing_of_another(local: LocalStore, night: Night) -> None:
    """The picture was replaced between listing and reading: rows of one etag are of two pictures."""
    second = put_night(local, version="v2")
    part = second.parts[0].key
    rows = scores.to_rows(scores.read_part(local, part))
    scores.write_part(local, part, [replace(row, content_digest="f" * 64) for row in rows])
    touched(local, Path())
    assert look(local, night).same == 5
    assert [one.key for one in look(local, second).changed] == [A, B]


def test_bytes_that_were_read_for_one_version_are_known_for_another(
    local: LocalStore, night: Night, read: list[str]
) -> None:
    second = put_night(local, version="v2")
    touched(local, Path())
    read.clear()
    for _ in range(2):
        assert look(local, night).same == look(local, second).same == 5
    assert len(read) == 5


def test_a_second_copy_is_read_once_more_and_a_memory_that_does_not_read_is_none(
    local: LocalStore, night: Night, read: list[str]
) -> None:
    for damage in (lambda: touched(local, Path()), lambda: local.write(MEMORY, b"no parquet")):
        damage()
        read.clear()
        assert look(local, night).same == look(local, night).same == 5
        assert len(read) == 5


def test_a_row_is_not_given_up_for_a_picture_that_cannot_be_read_now(
    local: LocalStore, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that was put back with another owner."""
    touched(local, Path())
    whole, locked = LocalStore.read_with_etag, [True]

    def denied(self: LocalStore, key: str) -> tuple[bytes, str]:
        if locked and key == A:
            raise ObjectDenied("may not be read")
        return whole(self, key)

    monkeypatch.setattr(LocalStore, "read_with_etag", denied)
    assert look(local, night).same == 5
    seal = read_seal(local, night.partition)
    assert seal
    part = seal.plans[0].parts[0].key
    rows = local.read(part)
    local.write(part, b"no parquet")  # then there is no row to give up, and the time is another
    assert [one.key for one in look(local, night).changed] == [A]
    local.write(part, rows)
    locked.clear()
    local.write(A, b"A")
    assert [one.key for one in look(local, night).changed] == [A]


def test_what_could_not_be_read_then_and_now_is_the_same(local: LocalStore, night: Night) -> None:
    """A link that leads nowhere, copied: its row has no digest."""
    link = local.root / layout.image_key("cloth", DAY, "z")
    link.symlink_to("nowhere")
    put_night(local, only=["z"])
    link.unlink()
    link.symlink_to("nowhere")
    assert look(local, night) == Comparison(6, (), (), ())
    link.unlink()
    link.write_bytes(b"nowhere")  # of the link's size
    assert [one.key for one in look(local, night).changed] == [layout.image_key("cloth", DAY, "z")]
