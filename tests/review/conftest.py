"""A plant with one night to look at."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from review.desk import Desk
from storage.filesystem import LocalStore, Store
from tests.review.night import put_night


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    root = tmp_path / "store"
    root.mkdir()
    return LocalStore(root)


@pytest.fixture
def keys(store: LocalStore) -> dict[str, str]:
    return put_night(store)


@pytest.fixture
def desk_of() -> Iterator[Callable[..., Desk]]:
    """Makes desks, and closes them in the end: an open one keeps DuckDB in memory."""
    made: list[Desk] = []

    def make(*places: Store | Sequence[str], **options: Any) -> Desk:
        made.append(Desk(*places, **options))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def desk(store: LocalStore, keys: dict[str, str], desk_of: Callable[..., Desk]) -> Desk:
    return desk_of(store, store)
