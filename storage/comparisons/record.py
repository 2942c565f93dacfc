"""The reading of a comparison's records."""

from typing import TypeVar

from storage.errors import CorruptObject
from storage.stores import checked_json, json_records
from storage.stores.store import Store

R = TypeVar("R")


def read_record(kind: type[R], store: Store, key: str, what: str) -> R:
    data, again = store.read(key), "Or remove its folder, and compare again."
    try:
        return json_records.from_json(kind, checked_json.from_bytes(data, store.address(key), what))
    except CorruptObject as e:
        raise CorruptObject(f"{e} {again}") from e
    except ValueError as e:
        raise CorruptObject(
            f"{store.address(key)} is not {what} of this release: {e}. Use the release that wrote it. {again}"
        ) from e
