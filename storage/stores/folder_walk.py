"""Walking a local folder with any contents."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from storage.errors import StorageError, TransientFault
from storage.stores.faults import translated
from storage.stores.left_out import LeftOut
from storage.stores.litter import is_litter
from storage.stores.store import RESERVED

_DEEPEST = 100
"""largest depth of nested folders"""


@dataclass(frozen=True)
class FolderWalk:
    """Finds files whose key begins with `prefix`. Litter is skipped and noted."""

    inside: Callable[[Path, str], Path]
    """(path, its key) -> the real path. Raises StorageError if it is outside the store"""
    prefix: str
    left_out: LeftOut | None = None
    """notes unreadable folders; None: the first one is raised"""

    def files(self, folder: str, at: str, above: tuple[str, ...] = ()) -> Iterator[tuple[str, os.stat_result]]:
        """(key, status) of the files below the real `folder`, whose key is `at`, by key; `above`: the folders on the
        way.

        Raises OSError or StorageError for an unreadable folder. Includes dead links, pipes and the like, so that they
        become rows and are not missed.
        """
        _refuse_endless(folder, above)
        for name, entry in sorted(_scan(folder), key=itemgetter(0)):
            key = at + name
            if is_litter(name):
                self._note_litter(key)
            elif not name.endswith("/"):
                if key.startswith(self.prefix) and (status := _status(entry)):
                    yield key, status
            elif key.startswith(self.prefix) or self.prefix.startswith(key):
                yield from self._below(entry, key, (*above, folder))

    def folders(self, folder: str) -> list[str]:
        """Sorted names of the folders directly below the real `folder`, whose key is the prefix, that hold a file or
        are unreadable. Raises OSError if it is unreadable itself."""
        folders = []
        for name, entry in _scan(folder):
            if is_litter(name):
                self._note_litter(self.prefix + name)
            elif name.endswith("/"):
                folders.append((name, entry))
            elif self.left_out is not None:
                self.left_out.add_stray(self.prefix, name)
        return sorted(name[:-1] for name, entry in folders if self._is_filled(name, entry))

    def _note_litter(self, key: str) -> None:
        if self.left_out is not None and key.startswith(self.prefix):
            self.left_out.add_litter(key)

    def _below(
        self, entry: os.DirEntry[str], key: str, above: tuple[str, ...]
    ) -> Iterator[tuple[str, os.stat_result]]:
        try:
            with translated(f"cannot list {entry.path}"):
                yield from self.files(self._real(entry, key), key, above)
        except TransientFault:
            raise
        except StorageError as e:
            if self.left_out is None:
                raise
            self.left_out.broken[key] = str(e)

    def _is_filled(self, name: str, entry: os.DirEntry[str]) -> bool:
        try:
            return self._holds_file(self._real(entry, self.prefix + name), self.prefix + name, ())
        except (OSError, StorageError):
            return True

    def _holds_file(self, folder: str, at: str, above: tuple[str, ...]) -> bool:
        """Whether `files` would find any; stops at the first."""
        _refuse_endless(folder, above)
        below = []
        for name, entry in _scan(folder):
            if is_litter(name):
                continue
            if name.endswith("/"):
                below.append((at + name, entry))
            elif _status(entry):
                return True
        return any(self._holds_file(self._real(entry, key), key, (*above, folder)) for key, entry in below)

    def _real(self, entry: os.DirEntry[str], key: str) -> str:
        """The real path of a folder entry; only links are resolved, which takes many system calls."""
        return str(self.inside(Path(entry.path), key)) if entry.is_symlink() else entry.path


def _scan(folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Names in a folder, unsorted, folders with a final '/'. None if it is gone or no folder."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(RESERVED):
                yield _shown(entry.name) + ("/" if _is_folder(entry) else ""), entry


def _refuse_endless(folder: str, above: tuple[str, ...]) -> None:
    """Raises StorageError if the real `folder` is on the way already, or too deep."""
    if folder in above:
        raise StorageError(
            f"{folder} is a symbolic link to a folder that holds it: listing would never end. Remove the link."
        )
    if len(above) > _DEEPEST:
        raise StorageError(f"{folder} lies more than {_DEEPEST} folders deep, so it is not listed. Move it up.")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle of links, or to where we may not look: no folder that could be listed
        return False


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """None if the file is gone since its folder was read; a dead link's own status."""
    with suppress(FileNotFoundError):
        try:
            return entry.stat()
        except OSError:
            return entry.stat(follow_symlinks=False)
    return None


def _shown(name: str) -> str:
    """A file name as text, with bytes that are no UTF-8 as backslash escapes, which no read accepts:

    the file is refused and reported, and no table gets the raw bytes.
    """
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")
