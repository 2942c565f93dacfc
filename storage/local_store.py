"""A store in a local folder."""

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

from fsspec.implementations.local import LocalFileSystem
from zarr.abc.store import Store as ZarrStore
from zarr.storage import LocalStore as ZarrLocalStore

from storage.errors import (
    AccessDenied,
    AlreadyExists,
    Conflict,
    InvalidKey,
    KeyNotFound,
    StorageError,
    StoreNotFound,
    TransientFault,
)
from storage.faults import translated
from storage.layout import why_key_is_unsafe
from storage.records import ObjectInfo
from storage.store import RESERVED, Store, refuse_unsafe

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_READ_ATTEMPTS = 5
_LOCK = f"{RESERVED}lock"
_OF_ZARR = re.compile(r"\.[0-9a-f]{32}\.partial$")
"""what zarr writes beside an object before it takes the object's place"""
# What file systems without hard links (exFAT, some network mounts) answer to os.link.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalStore(Store):
    """Objects as files below one folder.

    A file is written under a temporary name in the same folder, flushed to the disk, and then takes its place
    in one step. Conditional writes take a lock file at the root, which every process on the machine shares.
    """

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        self.root = Path(os.path.realpath(root))
        self.uri = str(self.root)
        self.read_only = read_only

    def read_with_etag(self, key: str) -> tuple[bytes, str]:
        for _ in range(_READ_ATTEMPTS):
            with self.open(key) as file, translated(f"cannot read {self.address(key)}"):
                before = os.fstat(file.fileno())
                data = file.read()
                # A camera may write the file in place while we read: then the bytes are of no one version.
                if _etag(before) == _etag(os.fstat(file.fileno())) and len(data) == before.st_size:
                    return data, _etag(before)
        raise TransientFault(
            f"{self.address(key)} changed during each of {_READ_ATTEMPTS} reads, so its bytes are of no one "
            "version. Try again when its writer is done."
        )

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        refuse_unsafe(key)
        path = self._inside(self.root / key, key)
        with translated(f"cannot read {self.address(key)}"):
            try:
                # Opening a pipe or a socket would wait for its other end.
                if not stat.S_ISREG(path.stat().st_mode):
                    raise self._missing(key)
                file = path.open("rb")
            except (FileNotFoundError, NotADirectoryError) as e:
                raise self._missing(key) from e
        with file:
            yield file

    def info(self, key: str) -> ObjectInfo | None:
        refuse_unsafe(key)
        path = self._inside(self.root / key, key)
        with translated(f"cannot look at {self.address(key)}"):
            try:
                found = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                self._require_root()
                return None
        return _info(key, found) if stat.S_ISREG(found.st_mode) else None

    def check(self) -> None:
        self._require_root()
        wanted = os.R_OK | os.X_OK | (0 if self.read_only else os.W_OK)
        if not os.access(self.root, wanted):
            verb = "read" if self.read_only else "read and written"
            raise AccessDenied(
                f"{self.uri} cannot be {verb} by user id {os.getuid()}. Change the folder's mode or owner, "
                "or name another store."
            )

    def zarr_store(self, key: str, read_only: bool = False) -> ZarrStore:
        refuse_unsafe(key)
        self._require_root()
        return ZarrLocalStore(self._inside(self.root / key, key), read_only=read_only or self.read_only)

    def duckdb_uri(self, key: str) -> str:
        refuse_unsafe(key)
        return str(self.root / key)

    @cached_property
    def filesystem(self) -> Any:
        return LocalFileSystem(skip_instance_cache=True)

    def _write(self, key: str, data: bytes) -> None:
        target = self._target(key)
        with translated(f"cannot write {self.address(key)}"), _temporary(target, data) as temp, self._lock():
            _take_place(temp, target)

    def _create(self, key: str, data: bytes) -> None:
        target = self._target(key)
        with translated(f"cannot create {self.address(key)}"):
            if os.path.lexists(target):
                raise self._taken(key)
            with _temporary(target, data) as temp:
                try:
                    os.link(temp, target)
                    _flush_folder(target.parent)
                except FileExistsError as e:
                    raise self._taken(key) from e
                except OSError as e:
                    if e.errno not in _NO_LINKS:
                        raise
                    self._create_without_links(key, temp, target)

    def _create_without_links(self, key: str, temp: Path, target: Path) -> None:
        with self._lock():
            if os.path.lexists(target):
                raise self._taken(key)
            _take_place(temp, target)

    def _replace(self, key: str, data: bytes, etag: str) -> None:
        target = self._target(key)
        with (
            translated(f"cannot replace {self.address(key)}"),
            _temporary(target, data) as temp,
            self._lock(),
        ):
            found = self.info(key)
            if found is None or found.etag != etag:
                raise Conflict(
                    f"{self.address(key)} is {'gone' if found is None else 'another'} since it was read, so "
                    "nothing was written. Read it again and decide."
                )
            _take_place(temp, target)

    def temporaries(self) -> Iterator[ObjectInfo]:
        with translated(f"cannot look for temporary files in {self.uri}"):
            self._require_root()
            # Links are not followed: what lies beyond one is not for us to remove.
            for folder, _, names in os.walk(self.root):
                for path in (Path(folder, name) for name in names if _is_temporary(name)):
                    with suppress(FileNotFoundError):  # its writer was quicker
                        yield _info(str(path.relative_to(self.root)), path.lstat())

    def remove_temporary(self, key: str) -> None:
        if self.read_only or why_key_is_unsafe(key) or not _is_temporary(key.rpartition("/")[2]):
            super().remove_temporary(key)
        with translated(f"cannot remove {self.address(key)}"):
            self._inside((self.root / key).parent, key)
            (self.root / key).unlink(missing_ok=True)

    def _remove(self, key: str) -> None:
        self._require_root()
        target = self.root / key
        with translated(f"cannot remove {self.address(key)}"):
            # The last name itself may be a link: it is removed, not what it leads to.
            self._inside(target.parent, key)
            with suppress(FileNotFoundError, NotADirectoryError):
                if not stat.S_ISDIR(target.lstat().st_mode):  # no object
                    target.unlink()
                    _flush_folder(target.parent)

    def _remove_tree(self, prefix: str) -> None:
        self._require_root()
        target = self.root / prefix.removesuffix("/")
        with translated(f"cannot remove {self.address(prefix)}"):
            self._inside(target.parent, prefix)
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
                _flush_folder(target.parent)

    def _list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = prefix.rpartition("/")[0]
        with translated(f"cannot list {self.address(prefix)}"):
            self._require_root()
            at = f"{folder}/" if folder else ""
            yield from self._walk(str(self._inside(self.root / folder, at)), at, prefix, ())

    def _children(self, prefix: str) -> list[str]:
        with translated(f"cannot list {self.address(prefix)}"):
            self._require_root()
            folder = str(self._inside(self.root / prefix, prefix))
            return sorted(
                name[:-1]
                for name, entry in _entries(folder)
                if name.endswith("/") and self._holds_object(self._below(entry, prefix), prefix + name, ())
            )

    def _walk(self, folder: str, at: str, prefix: str, above: tuple[str, ...]) -> Iterator[ObjectInfo]:
        """Objects below the real `folder`, whose key is `at`; `above` are those we came through."""
        _refuse_circle(folder, above)
        for name, entry in _entries(folder):
            key = at + name
            if name.endswith("/"):
                if key.startswith(prefix) or prefix.startswith(key):
                    yield from self._walk(self._below(entry, key), key, prefix, (*above, folder))
            elif key.startswith(prefix) and (found := _object_status(entry)):
                yield _info(key, found)

    def _holds_object(self, folder: str, at: str, above: tuple[str, ...]) -> bool:
        """Whether `_walk` would find any. Ends at the first, so that a day of a million images is not read to tell
        that it is one."""
        _refuse_circle(folder, above)
        below = []
        for name, entry in _scan(folder):
            if name.endswith("/"):
                below.append((at + name, entry))
            elif _object_status(entry):
                return True
        return any(self._holds_object(self._below(entry, key), key, (*above, folder)) for key, entry in below)

    def _below(self, entry: os.DirEntry[str], key: str) -> str:
        """The real folder of an entry of a real one: only links are followed, since that takes many system calls."""
        return str(self._inside(Path(entry.path), key)) if entry.is_symlink() else entry.path

    def _target(self, key: str) -> Path:
        """Where `key` is written, its folder made."""
        self._require_root()
        target = self.root / key
        # The last name itself may be a link: it is replaced, not followed.
        self._inside(target.parent, key)
        with translated(f"cannot make the folder of {self.address(key)}"):
            target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _inside(self, path: Path, key: str) -> Path:
        real = os.path.realpath(path)
        if real != self.uri and not real.startswith(self.uri.rstrip("/") + "/"):
            raise InvalidKey(
                f"key {key!r} goes through a symbolic link that leads out of {self.uri}: it is neither read nor "
                "written. Mount the folder there instead, or open it as a store of its own."
            )
        return Path(real)

    def _require_root(self) -> None:
        if not self.root.is_dir():
            raise StoreNotFound(
                f"{self.uri} is not a folder, so nothing can be read or written there. Create it, mount it, "
                "or check the store's name."
            )

    def _missing(self, key: str) -> KeyNotFound:
        self._require_root()
        return KeyNotFound(f"{self.address(key)}: there is no such object. Check the key.")

    def _taken(self, key: str) -> AlreadyExists:
        return AlreadyExists(
            f"{self.address(key)} is there already and stays as it is. Read it, or choose another key."
        )

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other threads and processes from taking a place meanwhile; a killed holder lets go by itself."""
        handle = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


@contextmanager
def _temporary(target: Path, data: bytes) -> Iterator[Path]:
    """`data` on the disk beside `target`, gone afterwards unless it took its place."""
    temp = target.parent / f"{RESERVED}{secrets.token_hex(12)}"
    try:
        handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            # The kernel's own times advance by milliseconds, and inode numbers are used again: two quick
            # changes could share an etag. The clock's nanoseconds tell them apart.
            now = time.time_ns()
            os.utime(file.fileno(), ns=(now, now))
            os.fsync(file.fileno())
        yield temp
    finally:
        temp.unlink(missing_ok=True)


def _take_place(temp: Path, target: Path) -> None:
    temp.replace(target)
    _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    """A name is on the disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _entries(folder: str) -> list[tuple[str, os.DirEntry[str]]]:
    """`_scan` in the order of the keys."""
    return sorted(_scan(folder), key=itemgetter(0))


def _scan(folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Names in a folder as they come, folders with a '/' behind. None if it is gone, or no folder."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(RESERVED):
                yield _shown(entry.name) + ("/" if entry.is_dir() else ""), entry


def _refuse_circle(folder: str, above: tuple[str, ...]) -> None:
    """StorageError where the real `folder` is one we came through."""
    if folder in above:
        raise StorageError(
            f"{folder} is a symbolic link to a folder that holds it: listing would never end. Remove the link."
        )


def _object_status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Of an entry that is an object; None for pipes and the like, and for what is gone since its folder was read."""
    try:
        found = entry.stat()
    except FileNotFoundError:
        if not entry.is_symlink():
            return None
        # A link that leads nowhere is shown, so that its image becomes a row and is not missed.
        found = entry.stat(follow_symlinks=False)
    return found if stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode) else None


def _is_temporary(name: str) -> bool:
    """Ours, or zarr's; the lock stays."""
    return (name.startswith(RESERVED) and name != _LOCK) or bool(_OF_ZARR.search(name))


def _shown(name: str) -> str:
    """A file name as text. Bytes that are no UTF-8 become backslash escapes, which no read accepts:

    the file is seen, refused and reported, where the raw bytes would break every table they came into.
    """
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def _etag(found: os.stat_result) -> str:
    return f"{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ino:x}"


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    modified = _EPOCH + timedelta(microseconds=found.st_mtime_ns // 1000)
    return ObjectInfo(key, _etag(found), found.st_size, modified)
