"""One folder that cannot be looked into, or that is litter, costs nothing beside it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import AccessDenied, InvalidKey, StorageError, TransientFault
from storage.filesystem import LocalStore
from storage.stores.left_out import LeftOut

DAY = "images/bolt/2026-11-21/"


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], None]:
    """Makes a folder refuse. Root may look into all, so the refusal is put in."""
    refused: dict[str, int] = {}
    scandir = os.scandir

    def scan(folder: str) -> object:
        if number := refused.get(str(folder)):
            raise OSError(number, os.strerror(number), folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)

    def close(folder: Path, number: int = errno.EACCES) -> None:
        refused[str(folder)] = number

    return close


def keys(store: LocalStore, prefix: str, left_out: LeftOut | None = None) -> list[str]:
    return [info.key.removeprefix(prefix) for info in store.list(prefix, left_out)]


def test_litter_is_passed_over_and_counted(local: LocalStore) -> None:
    for name in ("a.png", ".DS_Store", "._a.png", "sub/.DS_Store", "sub/b.png", "@eaDir/a.png/T.jpg", "@eaDir/b"):
        local.write(DAY + name, b"x")
    left_out = LeftOut()
    assert keys(local, DAY, left_out) == ["a.png", "sub/b.png"]
    assert left_out.litter_in_words == "4 files and folders: .DS_Store (2), ._a.png, @eaDir/"
    assert keys(local, DAY) == ["a.png", "sub/b.png"]


def test_litter_before_the_prefix_is_not_counted(local: LocalStore) -> None:
    local.write("images/bolt/.DS_Store", b"x")
    local.write(DAY + "a.png", b"x")
    left_out = LeftOut()
    assert keys(local, DAY[:-3], left_out) == ["21/a.png"]
    assert left_out.litter == 0


def test_a_folder_of_litter_is_no_child_and_is_never_looked_into(
    local: LocalStore, closed: Callable[[Path], None]
) -> None:
    local.write(DAY + "a.png", b"x")
    (local.root / "images/lost+found").mkdir()
    closed(local.root / "images/lost+found")
    local.write("images/nut/2026-11-21/Thumbs.db", b"x")
    left_out = LeftOut()
    assert local.children("images/", left_out) == ["bolt"]
    assert left_out.litter_in_words == "1 file or folder: lost+found/"
    assert keys(local, "images/") == ["bolt/2026-11-21/a.png"]


def test_a_folder_that_cannot_be_read_is_noted_and_the_rest_is_listed(
    local: LocalStore, closed: Callable[[Path], None]
) -> None:
    for name in ("a.png", "dark/b.png", "light/c.png"):
        local.write(DAY + name, b"x")
    closed(local.root / DAY / "dark")
    with pytest.raises(AccessDenied, match="dark: Permission denied"):
        keys(local, DAY)
    left_out = LeftOut()
    assert keys(local, DAY, left_out) == ["a.png", "light/c.png"]
    assert list(left_out.broken) == [DAY + "dark/"]
    assert "Permission denied" in left_out.broken[DAY + "dark/"]


def test_what_is_asked_for_itself_and_cannot_be_read_is_an_error(
    local: LocalStore, closed: Callable[[Path], None]
) -> None:
    local.write(DAY + "a.png", b"x")
    closed(local.root / DAY)
    with pytest.raises(AccessDenied):
        keys(local, DAY, LeftOut())
    with pytest.raises(AccessDenied):
        local.children(DAY)
    assert local.children("images/bolt/") == ["2026-11-21"]
    assert local.children("images/") == ["bolt"]


def test_a_fault_that_may_pass_is_never_noted_as_lasting(
    local: LocalStore, closed: Callable[[Path, int], None]
) -> None:
    local.write(DAY + "dark/b.png", b"x")
    closed(local.root / DAY / "dark", errno.ESTALE)
    with pytest.raises(TransientFault):
        keys(local, DAY, LeftOut())


def test_circles_and_ways_out_are_noted(local: LocalStore, tmp_path: Path) -> None:
    local.write(DAY + "a.png", b"x")
    (local.root / DAY / "again").symlink_to(local.root / DAY)
    (local.root / DAY / "out").symlink_to(tmp_path)
    left_out = LeftOut()
    assert keys(local, DAY, left_out) == ["a.png"]
    assert "never end" in left_out.broken[DAY + "again/"]
    assert "leads out" in left_out.broken[DAY + "out/"]
    with pytest.raises(InvalidKey, match="leads out"):
        keys(local, DAY + "out/")


def test_a_tree_without_end_is_not_followed_to_the_bottom(local: LocalStore) -> None:
    local.write(DAY + "a.png", b"x")
    local.write(DAY + "deep/" + "d/" * 120 + "b.png", b"x")
    left_out = LeftOut()
    assert keys(local, DAY, left_out) == ["a.png"]
    with pytest.raises(StorageError, match="folders deep"):
        keys(local, DAY)


def test_what_vanishes_while_it_is_listed_is_not_there(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "b.png", "sub/c.png"):
        local.write(DAY + name, b"x")
    listed = local.list(DAY)
    assert next(listed).key == DAY + "a.png"
    (local.root / DAY / "b.png").unlink()
    (local.root / DAY / "sub/c.png").unlink()
    (local.root / DAY / "sub").rmdir()
    assert list(listed) == []


def test_very_much_litter_stays_small() -> None:
    left_out, other = LeftOut(), LeftOut()
    for i in range(5_000):
        (left_out if i % 2 else other).add_litter(f"{DAY}._{i:04}.png")
    other.broken["x/"] = "why"
    left_out.add(other)
    assert left_out.litter == 5_000
    assert len(left_out.names) == 40
    assert left_out.litter_in_words.endswith(" and 4,994 more")
    assert left_out.broken == {"x/": "why"}
