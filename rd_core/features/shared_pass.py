"""Files of the teacher's features that several fits on one machine share; imports no torch."""

import fcntl
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from rd_core.errors import ConfigError

seconds_saved: ContextVar[float] = ContextVar("seconds_saved", default=0.0)
"""processor seconds that other fits spent on the features read here since it was set"""
FORGOTTEN = 24 * 3600
"""seconds after which the folder of another name that nobody used is removed"""
_COST = struct.Struct("<d")
"""at a file's end: what it cost"""


@dataclass(frozen=True)
class SharedPass:
    """Names a folder of this machine's temporary files, where the fits of a comparison find the teacher's features of
    images that another has passed through the same teacher. Plain data: a task of another process takes it along.

    The first fit computes them, while others wait at a file lock, and a file is whole or not there. Where it has no
    room, or the folder cannot be used, a fit computes them itself.
    """

    name: str
    """of the folder, the same for whatever may share it"""
    max_bytes: int = 8 * 1024**3
    """of all files together; half of the disk's free bytes are the limit, too"""

    def __post_init__(self) -> None:
        if Path(self.name).name != self.name or self.name in ("", "..") or self.max_bytes < 0:
            raise ConfigError(
                f"a shared pass named {self.name!r} of {self.max_bytes} bytes cannot be: the name is that of a "
                "folder, and bytes are not negative. Give another, or none to share nothing."
            )

    @property
    def folder(self) -> Path:
        """On the machine that asks."""
        return _root() / self.name

    def remove(self) -> None:
        """Remove this machine's files; fits that still read or write them are not disturbed."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # others are there, or none was
            _root().rmdir()

    def file(self, digest: str, size: int) -> "PassFile | None":
        """The file named by `digest`, whole or to be written, of `size` bytes; waits for a process that writes it.
        None: the fit computes the features itself."""
        size += _COST.size
        with ExitStack() as resources:
            try:
                folder = self._prepared()
                if whole := _whole(folder / digest, size):
                    return PassFile(folder / digest, whole, None)
                lock = resources.enter_context((folder / f"{digest}.lock").open("wb"))
                fcntl.flock(lock, fcntl.LOCK_EX)
                if whole := _whole(folder / digest, size):  # written meanwhile
                    return PassFile(folder / digest, whole, None)
                part = self._reserved(digest, size)
            except OSError:
                return None
            if part is None:
                return None
            resources.pop_all()
            return PassFile(folder / digest, part, lock)

    def _prepared(self) -> Path:
        """The folder, which is this user's alone; those that were forgotten are gone. Raises OSError."""
        root, now = _root(), time.time()
        for folder in (root, self.folder):  # each before anything is done in it
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                raise PermissionError(f"{folder} is another user's")
            folder.chmod(0o700)
        os.utime(self.folder)
        for other in root.iterdir():
            with suppress(OSError):
                if other.name != self.name and now - other.stat().st_mtime > FORGOTTEN:
                    shutil.rmtree(other, ignore_errors=True)
        return self.folder

    def _reserved(self, digest: str, size: int) -> IO[bytes] | None:
        """A new file that counts with all its bytes; None if there is no room. What was left of the same one by a
        process that was killed is removed: the digest's lock is held."""
        for left in self.folder.glob(f"{digest}.*.part"):
            left.unlink(missing_ok=True)
        with _locked(self.folder / "lock"):
            taken = sum(file.stat().st_size for file in self.folder.iterdir())
            if taken + size > self.max_bytes or 2 * size > shutil.disk_usage(self.folder).free:
                return None
            part = tempfile.NamedTemporaryFile(  # noqa: SIM115  # PassFile closes it
                "wb", dir=self.folder, prefix=f"{digest}.", suffix=".part", delete=False
            )
            try:
                _allocate(part, size)
            except OSError:
                part.close()
                Path(part.name).unlink()
                raise
        return part


class PassFile:
    """One file of a shared pass, read or written from its beginning to its end."""

    def __init__(self, target: Path, opened: IO[bytes], lock: IO[bytes] | None) -> None:
        """lock: held while it is written; None if it is whole."""
        self._target, self._opened, self._lock = target, opened, lock
        self._failed = False

    @property
    def is_whole(self) -> bool:
        return self._lock is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Leaves nothing of a file that `keep` was not called for."""
        with suppress(OSError):  # a full disk: what waited to be written is given up
            self._opened.close()
        if self._lock is not None:
            Path(self._opened.name).unlink(missing_ok=True)
            self._lock.close()

    def read(self, size: int) -> bytearray:
        """The next bytes. Raises OSError if fewer are left."""
        data = bytearray(size)
        if self._opened.readinto(data) != size:  # type: ignore[attr-defined]  # of a buffered binary file
            raise OSError(f"{self._target} ended early, so these features cannot be read. Fit again.")
        return data

    def write(self, data: memoryview) -> None:
        """The next bytes; without effect from a failure on, such as a full disk."""
        if self._failed:
            return
        try:
            self._opened.write(data)
        except OSError:
            self._failed = True

    def read_cost(self) -> float:
        """Processor seconds that it took, of a file that is read to its end."""
        (seconds,) = _COST.unpack(self.read(_COST.size))
        return float(seconds)

    def keep(self, cost: float) -> None:
        """All is written: others may read it. cost: processor seconds that it took."""
        self.write(memoryview(_COST.pack(cost)))
        if self._failed:
            return
        with suppress(OSError):  # the folder may be gone
            self._opened.flush()
            os.fsync(self._opened.fileno())  # or a machine that crashes may keep the name and lose the bytes
            Path(self._opened.name).rename(self._target)


def _root() -> Path:
    return Path(tempfile.gettempdir()) / f"rd-inspect-features-{os.getuid()}"


def _whole(file: Path, size: int) -> IO[bytes] | None:
    try:
        opened = file.open("rb")
    except FileNotFoundError:
        return None
    if os.fstat(opened.fileno()).st_size == size:
        return opened
    opened.close()
    return None


def _allocate(file: IO[bytes], size: int) -> None:
    """Take the bytes from the disk now, so that the next fit does not count them as free."""
    if hasattr(os, "posix_fallocate"):  # macOS has none
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
