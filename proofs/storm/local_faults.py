"""Faults of a local store in opening, writing and flushing files, below the translation of errors."""

import errno
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import patch

from zarr.storage import LocalStore as ZarrLocalStore

from proofs.storm import weather
from storage.errors import Conflict
from storage.stores import local_store
from storage.stores.faults import translated

BEFORE = (errno.EIO, errno.ENOSPC, errno.ESTALE, errno.ETIMEDOUT)
AFTER = (errno.EIO, errno.ETIMEDOUT)
"""errors of a write that nevertheless succeeded; a full disk gives none"""
SLOW_SECONDS = 1.0


def install() -> None:
    """Install the faults in this process; none occur in clear weather."""
    disk, maps = local_store.LocalStore, ZarrLocalStore
    patch.object(local_store, "_temporary", _failing_temporary(local_store._temporary)).start()
    patch.object(local_store, "_flush_folder", _failing_flush(local_store._flush_folder)).start()
    patch.object(disk, "open", _failing_open(disk.open)).start()
    patch.object(disk, "_replace", _losing_replace(disk._replace)).start()
    patch.object(maps, "set", _failing_set(maps.set)).start()


def _strike(kinds: tuple[int, ...]) -> None:
    """Raise an operating system error, or wait long, at random."""
    if random.random() >= weather.current().share:
        return
    kind = random.choice((0, *kinds))
    if not kind:
        time.sleep(random.uniform(0, SLOW_SECONDS))
        return
    raise OSError(kind, f"injected: {os.strerror(kind)}")


def _begin_write() -> None:
    now = weather.current()
    weather.begin_write(now)
    if now.full:
        raise OSError(errno.ENOSPC, f"injected: {os.strerror(errno.ENOSPC)}")
    _strike(BEFORE)


def _failing_temporary(whole: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def temporary(target: Path, data: bytes) -> Iterator[Path]:
        _begin_write()
        with whole(target, data) as temp:
            yield temp

    return temporary


def _failing_flush(whole: Callable[[Path], None]) -> Callable[[Path], None]:
    def flush(folder: Path) -> None:
        whole(folder)
        _strike(AFTER)

    return flush


def _failing_open(whole: Callable[..., AbstractContextManager[BinaryIO]]) -> Callable[..., Any]:
    @contextmanager
    def opened(self: local_store.LocalStore, key: str) -> Iterator[BinaryIO]:
        with translated(f"cannot read {self.address(key)}"):
            _strike((errno.EIO, errno.ETIMEDOUT))
        with whole(self, key) as file:
            yield file

    return opened


def _losing_replace(whole: Callable[..., None]) -> Callable[..., None]:
    def replace(self: local_store.LocalStore, key: str, data: bytes, etag: str) -> None:
        if random.random() < weather.current().share:
            raise Conflict(f"injected: {self.address(key)} is another since it was read")
        whole(self, key, data, etag)

    return replace


def _failing_set(whole: Callable[..., Any]) -> Callable[..., Any]:
    async def put(self: ZarrLocalStore, key: str, value: Any) -> None:
        _begin_write()
        await whole(self, key, value)
        _strike(AFTER)

    return put
