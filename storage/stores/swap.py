"""Changing an object that others change too: read it, change it, put it back if nobody came between, else again."""

import random
import time
from collections.abc import Callable

from storage.errors import AlreadyExists, Conflict, KeyNotFound
from storage.stores.store import Store


def swap(
    store: Store, key: str, change: Callable[[bytes | None], bytes | None], *, unfinished: str, attempts: int = 50
) -> None:
    """Put `change` of what lies under `key` in its place.

    `change` is given the bytes that are there, or None, and gives those that shall be, or None to leave it so; it may
    be asked several times, and may raise. Each lost attempt means that somebody else's change went in: there are
    never many at once. Conflict, which says what is `unfinished`, if others came between every time.
    """
    for attempt in range(attempts):
        data, etag = _read(store, key)
        changed = change(data)
        if changed is None:
            return
        try:
            if etag is None:
                store.create(key, changed)
            else:
                store.replace(key, changed, etag)
        except (AlreadyExists, Conflict):
            time.sleep(random.uniform(0, 0.01 * min(attempt + 1, 25)))
            continue
        return
    raise Conflict(f"{store.address(key)} changed during each of {attempts} tries {unfinished}")


def _read(store: Store, key: str) -> tuple[bytes | None, str | None]:
    try:
        return store.read_with_etag(key)
    except KeyNotFound:
        return None, None
