"""No store writes a key that leads elsewhere, whichever way it is asked to."""

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import InvalidKey, StoreReadOnly
from storage.filesystem import LocalStore, Store, open_store
from storage.stores.store import RESERVED
from tests.object_stores import Bucket

LEAD_ELSEWHERE = [
    "../up", "a/../../up", "a/..", "..", "/absolute", "//host/share", "a//b", "a/./b", ".", "", "a/", "nul\0",
    "nul\0.png", "back\\slash", "..\\up", "C:\\up",
]  # fmt: skip
OURS = [f"{RESERVED}lock", f"a/{RESERVED}x"]
"""names of temporary files and of the lock"""
WRITERS: dict[str, Callable[[Store, str], object]] = {
    "write": lambda store, key: store.write(key, b"1"),
    "create": lambda store, key: store.create(key, b"1"),
    "replace": lambda store, key: store.replace(key, b"1", "etag"),
    "remove": lambda store, key: store.remove(key),
    "remove_tree": lambda store, key: store.remove_tree(f"{key}/"),
    "remove_temporary": lambda store, key: store.remove_temporary(f"{key}/.rd-inspect-1"),
    "zarr_store": lambda store, key: store.zarr_store(key),
}
READERS = {
    "read",
    "read_with_etag",
    "open",
    "info",
    "list",
    "children",
    "address",
    "duckdb_uri",
    "temporaries",
    "check",
}
"""public methods of a store that write nothing"""


@pytest.fixture(params=["folder", "S3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(tmp_path / "store", create=True)
    bucket: Bucket = request.getfixturevalue("moto_s3")
    return open_store(f"{bucket.uri}/plant")


def test_every_method_that_takes_a_key_is_known_to_read_or_to_write() -> None:
    methods = {name for name, _ in inspect.getmembers(Store, inspect.isfunction) if not name.startswith("_")}
    assert methods == {*WRITERS, *READERS}


def test_no_writing_path_takes_a_key_that_leads_elsewhere(store: Store) -> None:
    for name, write in WRITERS.items():
        for key in LEAD_ELSEWHERE if name == "remove_temporary" else LEAD_ELSEWHERE + OURS:
            with pytest.raises(InvalidKey):
                write(store, key)
    assert list(store.list("")) == []


def test_a_store_for_reading_gives_no_array_that_can_be_written(store: Store) -> None:
    reader = open_store(store.uri, read_only=True)
    assert reader.zarr_store("maps/a.zarr").read_only
    with pytest.raises(StoreReadOnly):
        reader.write("k", b"1")


def test_nothing_outside_a_folder_is_touched(tmp_path: Path) -> None:
    local = LocalStore(tmp_path / "store")
    local.root.mkdir()
    for key in LEAD_ELSEWHERE:
        for write in WRITERS.values():
            with pytest.raises(InvalidKey):
                write(local, key)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
