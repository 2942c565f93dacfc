"""What every store can do; local folders and S3 differ only in how."""

import builtins
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from zarr.abc.store import Store as ZarrStore

from storage.errors import InvalidKey, StoreReadOnly
from storage.layout import why_key_is_unsafe
from storage.records import ObjectInfo
from storage.stores.left_out import LeftOut

RESERVED = ".rd-inspect-"
"""Names that begin so are temporary files and locks of a local store: never listed, never a key."""


class Store(ABC):
    """Objects of bytes below one root, each under a key.

    Reads see an object whole or not at all, whatever other writers do. Every method raises the errors of
    `storage.errors` and nothing else; a store may be used from several threads at once.
    """

    uri: str
    """the root, without credentials"""
    read_only: bool
    """writes raise StoreReadOnly"""

    def read(self, key: str) -> bytes:
        """The object's bytes. KeyNotFound."""
        return self.read_with_etag(key)[0]

    @abstractmethod
    def read_with_etag(self, key: str) -> tuple[bytes, str]:
        """The object's bytes and the etag of just these bytes. KeyNotFound."""

    @abstractmethod
    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """The object as a file to read and seek in, so that a part of it can be read alone. KeyNotFound."""

    def write(self, key: str, data: bytes) -> None:
        """Put `data` under `key`, in place of what is there, in one step."""
        self._refuse_unwritable(key)
        self._write(key, data)

    def create(self, key: str, data: bytes) -> None:
        """Put `data` under `key` if nothing is there, in one step; of several at once one wins. AlreadyExists."""
        self._refuse_unwritable(key)
        self._create(key, data)

    def replace(self, key: str, data: bytes, etag: str) -> None:
        """Put `data` under `key` if `etag` is still the object's, in one step. Conflict, also if it is gone."""
        self._refuse_unwritable(key)
        self._replace(key, data, etag)

    @abstractmethod
    def info(self, key: str) -> ObjectInfo | None:
        """The object without its bytes, or None if there is none."""

    def remove(self, key: str) -> None:
        """Remove the object, if there is one."""
        self._refuse_unwritable(key)
        self._remove(key)

    def remove_tree(self, prefix: str) -> None:
        """Remove every object below `prefix`, which ends in '/'. Interrupted, it can be called again."""
        if not prefix.endswith("/"):
            raise InvalidKey(f"prefix {prefix!r} does not end in '/': more than one tree could go. Append it.")
        self._refuse_unwritable(prefix.removesuffix("/"))
        self._remove_tree(prefix)

    def temporaries(self) -> Iterator[ObjectInfo]:
        """Temporary files of ours that a killed writer left behind, and that no listing shows. None in S3."""
        return iter(())

    def remove_temporary(self, key: str) -> None:
        """Remove one that `temporaries` gave."""
        raise InvalidKey(f"{self.address(key)} is no temporary file of this store; nothing was removed.")

    def list(self, prefix: str, left_out: LeftOut | None = None) -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix` ('' for all), sorted by key. Keys are shown as they are.

        Litter is passed over (`storage.stores.litter`). A folder on the way to `prefix` that cannot be looked into
        is an error; one below it is, too, unless `left_out` is given: there it is noted, and the listing goes on.
        """
        self._refuse_prefix(prefix)
        return self._list(prefix, left_out)

    def children(self, prefix: str, left_out: LeftOut | None = None) -> builtins.list[str]:
        """Names of the folders right below `prefix` ('' or ending in '/') that hold an object, sorted.

        Litter is passed over, and noted in `left_out` as files beside the folders are. A folder that cannot be looked
        into is among them, so that whoever opens it hears why.
        """
        if prefix and not prefix.endswith("/"):
            raise InvalidKey(f"prefix {prefix!r} does not end in '/': folders are below a '/'. Append it.")
        self._refuse_prefix(prefix)
        return self._children(prefix, left_out if left_out is not None else LeftOut())

    @abstractmethod
    def check(self) -> None:
        """Raise StoreNotFound or AccessDenied if the store cannot be used."""

    @abstractmethod
    def zarr_store(self, key: str, read_only: bool = False) -> ZarrStore:
        """A zarr store whose root is `key`."""

    @abstractmethod
    def duckdb_uri(self, key: str) -> str:
        """What DuckDB, Polars and pandas take for the object: a path, or an s3:// address."""

    @property
    @abstractmethod
    def filesystem(self) -> Any:
        """The fsspec file system, as DuckDB's `register_filesystem` takes it."""

    @abstractmethod
    def _write(self, key: str, data: bytes) -> None: ...

    @abstractmethod
    def _create(self, key: str, data: bytes) -> None: ...

    @abstractmethod
    def _replace(self, key: str, data: bytes, etag: str) -> None: ...

    @abstractmethod
    def _remove(self, key: str) -> None: ...

    @abstractmethod
    def _remove_tree(self, prefix: str) -> None: ...

    @abstractmethod
    def _list(self, prefix: str, left_out: LeftOut | None) -> Iterator[ObjectInfo]: ...

    @abstractmethod
    def _children(self, prefix: str, left_out: LeftOut) -> builtins.list[str]: ...

    def address(self, key: str) -> str:
        """The object as messages name it."""
        return f"{self.uri.rstrip('/')}/{key}"

    def _refuse_unwritable(self, key: str) -> None:
        if self.read_only:
            raise StoreReadOnly(
                f"{self.uri} was opened for reading only, so {key!r} is not written. "
                "Everything we write goes below the store; name it with --store."
            )
        refuse_unsafe(key)

    @staticmethod
    def _refuse_prefix(prefix: str) -> None:
        if prefix and (why := why_key_is_unsafe(prefix.removesuffix("/"))):
            raise InvalidKey(f"{why}: nothing can be listed there. Give a plain prefix.")


def refuse_unsafe(key: str) -> None:
    """InvalidKey if `key` could lead out of a folder or is one of our temporary names."""
    why = why_key_is_unsafe(key)
    if why is None and any(segment.startswith(RESERVED) for segment in key.split("/")):
        why = f"key {key!r} uses a name beginning with {RESERVED!r}, which is kept for temporary files"
    if why is not None:
        raise InvalidKey(f"{why}: the object is neither read nor written. Rename it.")
