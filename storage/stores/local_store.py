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
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
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
    ObjectDenied,
    StoreNotFound,
    TransientFault,
)
from storage.layout import why_key_is_unsafe
from storage.records import ObjectInfo
from storage.stores.faults import translated
from storage.stores.folder_walk import FolderWalk
from storage.stores.left_out import LeftOut
from storage.stores.store import RESERVED, Store, refuse_unsafe

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = (
    (time - _EPOCH) // timedelta(microseconds=1)
    for time in (datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))
)
"""microseconds that Python can represent in every time zone; a file's time may be beyond"""
_READ_ATTEMPTS = 5
_LOCK = f"{RESERVED}lock"
_OF_ZARR = re.compile(r"\.[0-9a-f]{32}\.partial$")
"""names of zarr's temporary files"""
_CLOSED = "-closed"
"""suffix of the etag of a file without read permission: once readable, it counts as changed and is scored"""
_NOTHING_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
# What file systems without hard links (exFAT, some network mounts) answer to os.link.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalStore(Store):
    """Objects as files below one folder.

    A file is written under a temporary name, flushed to disk and renamed. Conditional writes take a lock file at the
    root, which all processes of the machine share.
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
            except PermissionError as e:
                raise ObjectDenied(
                    f"{self.address(key)} may not be read by user id {os.getuid()}. Change the owner or mode of the "
                    "file, or of its folder."
                ) from e
            except OSError as e:
                if e.errno not in _NOTHING_THERE:
                    raise
                raise self._missing(key) from e
        with file:
            yield file

    def info(self, key: str) -> ObjectInfo | None:
        refuse_unsafe(key)
        path = self._inside(self.root / key, key)
        with translated(f"cannot look at {self.address(key)}"):
            try:
                status = path.stat()
            except OSError as e:
                if e.errno not in _NOTHING_THERE:
                    raise
                self._require_root()
                return None
        return _info(key, status) if stat.S_ISREG(status.st_mode) else None

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
            there = self.info(key)
            if there is None or there.etag != etag:
                raise Conflict(
                    f"{self.address(key)} is {'gone' if there is None else 'another'} since it was read, so "
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

    def _list(self, prefix: str, left_out: LeftOut | None) -> Iterator[ObjectInfo]:
        folder = prefix.rpartition("/")[0]
        with translated(f"cannot list {self.address(prefix)}"):
            self._require_root()
            at = f"{folder}/" if folder else ""
            walk = FolderWalk(self._inside, prefix, left_out)
            for key, status in walk.files(str(self._inside(self.root / folder, at)), at):
                info = _info(key, status)
                yield replace(info, etag=info.etag + _CLOSED) if self._is_closed(key, status) else info

    def _children(self, prefix: str, left_out: LeftOut) -> list[str]:
        with translated(f"cannot list {self.address(prefix)}"):
            self._require_root()
            return FolderWalk(self._inside, prefix, left_out).folders(str(self._inside(self.root / prefix, prefix)))

    def _is_closed(self, key: str, status: os.stat_result) -> bool:
        """Whether reading is denied; checked only if the mode does not allow everybody."""
        return not status.st_mode & stat.S_IROTH and not os.access(self.root / key, os.R_OK)

    def _target(self, key: str) -> Path:
        """The path of `key`, with its folder made."""
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
        path = self.root / key
        if path.is_symlink() and not path.exists():
            return KeyNotFound(
                f"{self.address(key)} is a symbolic link to {str(path.readlink())!r}, which is not there. "
                "Mend the link, or remove it."
            )
        if path.exists() and not path.is_dir():
            return KeyNotFound(f"{self.address(key)} is a pipe, a socket or a device and no file: it is not opened.")
        return KeyNotFound(f"{self.address(key)}: there is no such object. Check the key.")

    def _taken(self, key: str) -> AlreadyExists:
        return AlreadyExists(
            f"{self.address(key)} is there already and stays as it is. Read it, or choose another key."
        )

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Excludes other threads and processes; the lock of a killed process is released."""
        handle = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


@contextmanager
def _temporary(target: Path, data: bytes) -> Iterator[Path]:
    """`data` flushed to disk beside `target`; removed unless renamed."""
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
    """Flush the folder: a name is on disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_temporary(name: str) -> bool:
    """Our or zarr's temporary file, not the lock."""
    return (name.startswith(RESERVED) and name != _LOCK) or bool(_OF_ZARR.search(name))


def _etag(status: os.stat_result) -> str:
    return f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    modified = _EPOCH + timedelta(microseconds=min(max(status.st_mtime_ns // 1000, _FIRST), _LAST))
    return ObjectInfo(key, _etag(status), status.st_size, modified)
