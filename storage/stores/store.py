"""The interface of all stores, local and S3."""

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
"""prefix of a local store's temporary files and locks: never listed, never a key"""


class Store(ABC):
    """Objects of bytes below one root, each under a key.

    Reads see an object whole or not at all, despite concurrent writers. Methods raise only `storage.errors`.
    Thread-safe.
    """

    uri: str
    """the root, without credentials"""
    read_only: bool
    """writes raise StoreReadOnly"""

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises KeyNotFound."""
        return self.read_with_etag(key)[0]

    @abstractmethod
    def read_with_etag(self, key: str) -> tuple[bytes, str]:
        """The object's bytes and their etag. Raises KeyNotFound."""

    @abstractmethod
    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """The object as a seekable file, for partial reading. Raises KeyNotFound."""

    def write(self, key: str, data: bytes) -> None:
        """Write `data` under `key`, atomically replacing an existing object."""
        self._refuse_unwritable(key)
        self._write(key, data)

    def create(self, key: str, data: bytes) -> None:
        """Write `data` under `key` atomically unless it exists; one of several writers wins. Raises AlreadyExists."""
        self._refuse_unwritable(key)
        self._create(key, data)

    def replace(self, key: str, data: bytes, etag: str) -> None:
        """Write `data` under `key` atomically if `etag` is still the object's. Raises Conflict, also if gone."""
        self._refuse_unwritable(key)
        self._replace(key, data, etag)

    @abstractmethod
    def info(self, key: str) -> ObjectInfo | None:
        """The object's metadata, or None if it does not exist."""

    def remove(self, key: str) -> None:
        """Remove the object, if it exists."""
        self._refuse_unwritable(key)
        self._remove(key)

    def remove_tree(self, prefix: str) -> None:
        """Remove every object below `prefix`, which ends in '/'. Can be repeated after an interruption."""
        if not prefix.endswith("/"):
            raise InvalidKey(f"prefix {prefix!r} does not end in '/': more than one tree could go. Append it.")
        self._refuse_unwritable(prefix.removesuffix("/"))
        self._remove_tree(prefix)

    def temporaries(self) -> Iterator[ObjectInfo]:
        """Our temporary files left by a killed writer, which no listing shows. None in S3."""
        return iter(())

    def remove_temporary(self, key: str) -> None:
        """Remove one that `temporaries` gave."""
        raise InvalidKey(f"{self.address(key)} is no temporary file of this store; nothing was removed.")

    def list(self, prefix: str, left_out: LeftOut | None = None) -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix` ('' for all), sorted by key, keys unchanged.

        Litter (`storage.stores.litter`) is skipped. An unreadable folder on the way to `prefix` is an error; one
        below it too, unless `left_out` is given, which notes it.
        """
        self._refuse_prefix(prefix)
        return self._list(prefix, left_out)

    def children(self, prefix: str, left_out: LeftOut | None = None) -> builtins.list[str]:
        """Sorted names of the folders directly below `prefix` ('' or ending in '/') that hold an object.

        Litter is skipped, and files beside the folders are noted in `left_out`. Unreadable folders are included, so
        that opening them tells why.
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
        """The object's path or s3:// address for DuckDB, Polars and pandas."""

    @property
    @abstractmethod
    def filesystem(self) -> Any:
        """The fsspec file system for DuckDB's `register_filesystem`."""

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
        """The object's address in messages."""
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
    """Raises InvalidKey if `key` could lead outside the folder or is a temporary name."""
    why = why_key_is_unsafe(key)
    if why is None and any(segment.startswith(RESERVED) for segment in key.split("/")):
        why = f"key {key!r} uses a name beginning with {RESERVED!r}, which is kept for temporary files"
    if why is not None:
        raise InvalidKey(f"{why}: the object is neither read nor written. Rename it.")
