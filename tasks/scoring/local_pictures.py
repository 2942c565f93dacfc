"""Finding local pictures from files, folders, patterns, and names on standard input."""

import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from storage.errors import StorageError
from storage.stores.left_out import LeftOut
from storage.stores.litter import is_litter
from storage.stores.local_store import LocalStore

_MAGIC = frozenset("*?[")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class LocalPicture:
    """One picture, or why there is none to open."""

    path: str
    """as named, or below the named folder; bytes that are no UTF-8 as backslash escapes"""
    key: str
    """below the root of this machine"""
    place: str
    """path below the named folder or pattern; a file's name"""
    why: str | None = None
    """why there is nothing to open"""


def this_machine() -> LocalStore:
    """The store of `LocalPicture.key`."""
    return LocalStore(Path("/"), read_only=True)


def pictures_named(names: Iterable[str], left_out: LeftOut, *, again: bool = False) -> Iterator[LocalPicture]:
    """The pictures of each name, in order, without litter in folders (storage.stores.litter).

    A name is a file, a folder with all files below, or a quoted pattern (*, ?, [abc], and ** for any depth). An
    unknown or unreadable one is returned with the reason. `again`: a file named twice comes twice.
    """
    seen: set[str] = set()
    for name in names:
        for picture in _named(name, left_out):
            if again or picture.why or picture.key not in seen:
                seen.add(picture.key)
                yield picture


def picture_at(path: str) -> LocalPicture:
    """The file at `path`, or why it is none."""
    try:
        mode = os.stat(path).st_mode
    except PermissionError:  # its reader says so
        return _file(path, os.path.dirname(path))
    except (OSError, ValueError):  # what a file cannot be called, too
        is_link = os.path.islink(path)
        return _nothing(path, "a link that leads nowhere" if is_link else "there is no such file")
    if stat.S_ISDIR(mode):
        return _nothing(path, "a folder, and no file")
    if not stat.S_ISREG(mode):
        return _nothing(path, "a pipe, a socket or a device, and no file. Save the picture as one first")
    return _file(path, os.path.dirname(path))


def names_as_they_come(descriptor: int) -> Iterator[list[str]]:
    """Names from an open file, one a line or NUL-terminated as of `find -print0`.

    Each list has the names that arrived since the last, so that a reader never waits for a slow writer.
    """
    arrived: SimpleQueue[str | None] = SimpleQueue()
    # A daemon: where work ends early, nobody can end its reading.
    Thread(target=_read_names, args=(descriptor, arrived.put), name="names", daemon=True).start()
    ended = False
    while not ended:
        batch = [arrived.get()]
        with suppress(Empty):
            while True:
                batch.append(arrived.get_nowait())
        ended = None in batch
        if names := [name for name in batch if name]:
            yield names


def _named(name: str, left_out: LeftOut) -> Iterator[LocalPicture]:
    if "://" in name:
        yield _nothing(name, "an address: only files of this machine are scored so. Copy it here first")
        return
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        yield from _in_folder(path, left_out)
    elif _MAGIC & set(path) and not os.path.lexists(path):
        yield from _matching(path, left_out)
    else:
        yield picture_at(path)


def _in_folder(folder: str, left_out: LeftOut) -> Iterator[LocalPicture]:
    prefix = (os.path.realpath(folder) + "/").lstrip("/")
    count, broken = 0, len(left_out.broken)
    try:
        for info in this_machine().list(prefix, left_out):
            count += 1
            place = info.key[len(prefix) :]
            yield LocalPicture(_text(os.path.join(folder, place)), info.key, place)
    except StorageError as e:
        yield _nothing(folder, str(e))
        return
    for key in list(left_out.broken)[broken:]:
        count += 1
        yield _nothing(os.path.join(folder, key[len(prefix) :]), left_out.broken[key])
    if not count:
        yield _nothing(folder, "a folder without any file")


def _matching(pattern: str, left_out: LeftOut) -> Iterator[LocalPicture]:
    fixed = _fixed(pattern)
    count = 0
    for path in sorted(glob.iglob(pattern, recursive=True)):
        below = os.path.relpath(path, fixed or ".")
        is_folder = os.path.isdir(path)
        count += 1
        if is_litter(f"{below}/" if is_folder else below):
            left_out.add_litter(below)
        elif is_folder:
            for picture in _in_folder(path, left_out):
                yield LocalPicture(picture.path, picture.key, os.path.join(below, picture.place), picture.why)
        else:
            yield _file(path, fixed)
    if not count:
        yield _nothing(pattern, "no file has such a name")


def _fixed(pattern: str) -> str:
    """The folder before the first wildcard part of the pattern."""
    parts = pattern.split("/")
    first = next(at for at, part in enumerate(parts) if _MAGIC & set(part))
    return "/".join(parts[:first]) or ("/" if pattern.startswith("/") else "")


def _file(path: str, base: str) -> LocalPicture:
    folder, name = os.path.split(path)
    # The folder's links are followed, the file's own are the store's to judge.
    key = os.path.join(os.path.realpath(folder or "."), name).lstrip("/")
    return LocalPicture(_text(path), key, os.path.relpath(path, base or "."))


def _nothing(name: str, why: str) -> LocalPicture:
    return LocalPicture(_text(name), "", _text(name), why)


def _text(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read_names(descriptor: int, put: Callable[[str | None], None]) -> None:
    rest, end, is_first = b"", b"", True
    with suppress(OSError):
        while chunk := os.read(descriptor, 1 << 16):
            rest += chunk
            # A path may hold a line's end, and never a NUL.
            end = end or (b"\0" if b"\0" in rest else b"\n" if b"\n" in rest else b"")
            if end:
                *whole, rest = rest.split(end)
                for name in whole:
                    put(_name(name, is_first))
                    is_first = False
    put(_name(rest, is_first))
    put(None)


def _name(line: bytes, is_first: bool) -> str:
    return os.fsdecode((line.removeprefix(_BOM) if is_first else line).removesuffix(b"\r"))
