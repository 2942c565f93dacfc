"""A store that fails when told to, and a look at all a store holds."""

from collections.abc import Callable
from pathlib import Path

from storage.errors import TransientFault
from storage.filesystem import LocalStore, Store


class FaultyStore(LocalStore):
    """A store whose n-th write fails: before anything is written, or after, with the answer lost."""

    def __init__(self, root: Path, *, fails_at: int, after: bool) -> None:
        super().__init__(root)
        self.fails_at, self.after, self.writes = fails_at, after, 0

    def _faulty(self, write: Callable[[], None]) -> None:
        self.writes += 1
        failing = self.writes == self.fails_at
        if failing and not self.after:
            raise TransientFault("injected: the connection was cut before the write")
        write()
        if failing:
            raise TransientFault("injected: the connection was cut after the write")

    def _write(self, key: str, data: bytes) -> None:
        self._faulty(lambda: super(FaultyStore, self)._write(key, data))

    def _create(self, key: str, data: bytes) -> None:
        self._faulty(lambda: super(FaultyStore, self)._create(key, data))

    def _replace(self, key: str, data: bytes, etag: str) -> None:
        self._faulty(lambda: super(FaultyStore, self)._replace(key, data, etag))


def objects(store: Store) -> dict[str, bytes]:
    """All a store holds."""
    return {info.key: store.read(info.key) for info in store.list("")}
