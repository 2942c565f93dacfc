"""Compare-and-swap of an object: read, change, write if unchanged, else again."""

import random
import time
from collections.abc import Callable

from storage.errors import AlreadyExists, Conflict, KeyNotFound
from storage.stores.store import Store


def swap(
    store: Store, key: str, change: Callable[[bytes | None], bytes | None], *, unfinished: str, attempts: int = 50
) -> None:
    """Replace the object under `key` by `change` of its bytes.

    `change` gets the bytes, or None, and returns the new ones, or None to leave it; it may be called several times,
    and may raise. A lost attempt means that another writer succeeded. Raises Conflict, with what is `unfinished`,
    after too many lost attempts.
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
