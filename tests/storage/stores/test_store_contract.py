"""What every store must do: one class, inherited for each kind."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from storage.errors import (
    AccessDenied,
    AlreadyExists,
    Conflict,
    InvalidKey,
    KeyNotFound,
    StoreNotFound,
    StoreReadOnly,
)
from storage.filesystem import Store, open_store
from storage.stores import s3_store
from storage.stores.left_out import LeftOut
from tests.object_stores import Bucket

ODD = ["with space.png", "ümläut-検査.png", 'it\'s "quoted".png', "per%20cent+plus&and?#hash.png", "a=b;c,d.png"]
ESCAPES = ["../up", "a/../../up", "a//b", "/absolute", "a/./b", "a/", "", "..", "nul\0", "back\\slash"]


class StoreContract:
    """Subclasses give `uri`, the address of an empty store."""

    @pytest.fixture
    def store(self, uri: str) -> Store:
        return open_store(uri)

    def test_what_is_written_is_read(self, store: Store) -> None:
        store.write("a/b.bin", b"\0\xff" * 1000)
        assert store.read("a/b.bin") == b"\0\xff" * 1000
        store.write("a/b.bin", b"")
        assert store.read("a/b.bin") == b""

    def test_a_missing_object(self, store: Store) -> None:
        store.write("a/b", b"1")
        for key in ("missing", "a/c", "a", "a/b/c"):
            assert store.info(key) is None
            with pytest.raises(KeyNotFound, match="no such object"):
                store.read(key)
            with pytest.raises(KeyNotFound), store.open(key) as file:
                file.read()

    def test_create_never_touches_what_is_there(self, store: Store) -> None:
        store.create("k/one", b"first")
        with pytest.raises(AlreadyExists, match="k/one"):
            store.create("k/one", b"second")
        assert store.read("k/one") == b"first"

    def test_replace_needs_the_etag_of_what_is_there(self, store: Store) -> None:
        store.write("k", b"1")
        _, etag = store.read_with_etag("k")
        store.replace("k", b"2", etag)
        with pytest.raises(Conflict, match="k"):
            store.replace("k", b"3", etag)
        assert store.read("k") == b"2"

    def test_replace_of_nothing_is_a_conflict(self, store: Store) -> None:
        store.write("k", b"1")
        _, etag = store.read_with_etag("k")
        with pytest.raises(Conflict):
            store.replace("gone", b"2", etag)
        assert store.info("gone") is None

    def test_etags_agree_and_follow_the_bytes(self, store: Store) -> None:
        seen = []
        for data in (b"1", b"2", b"33"):
            store.write("k", data)
            info = store.info("k")
            assert info is not None
            assert store.read_with_etag("k") == (data, info.etag)
            assert list(store.list("k")) == [info]
            assert info.size == len(data)
            seen.append(info.etag)
        assert len(set(seen)) == 3

    def test_modification_time_is_utc(self, store: Store) -> None:
        store.write("k", b"1")
        info = store.info("k")
        assert info is not None
        assert info.modified.tzinfo is UTC
        assert abs(datetime.now(UTC) - info.modified) < timedelta(minutes=2)

    def test_list_is_recursive_and_in_the_order_of_keys(self, store: Store) -> None:
        keys = ["a/1", "a/2/x", "a/2/y", "a-b/1", "a.b", "a/2-z", "ab/c", "B", "a/10", "ä/1"]
        for key in keys:
            store.write(key, b"1")
        assert [info.key for info in store.list("")] == sorted(keys)
        assert [info.key for info in store.list("a/")] == ["a/1", "a/10", "a/2-z", "a/2/x", "a/2/y"]
        assert [info.key for info in store.list("a/2")] == ["a/2-z", "a/2/x", "a/2/y"]
        assert [info.key for info in store.list("a/2/")] == ["a/2/x", "a/2/y"]
        assert list(store.list("none/")) == []

    def test_children_are_the_folders_below(self, store: Store) -> None:
        for key in ["i/b/1", "i/a/x/2", "i/a-b/3", "i/file", "j/4"]:
            store.write(key, b"1")
        assert store.children("i/") == ["a", "a-b", "b"]
        assert store.children("") == ["i", "j"]
        assert store.children("none/") == []
        with pytest.raises(InvalidKey, match="'/'"):
            store.children("i")

    def test_litter_is_neither_listed_nor_a_child_but_goes_with_its_tree(self, store: Store) -> None:
        for key in ["i/a/1", "i/a/.DS_Store", "i/a/@eaDir/1", "i/a/@eaDir/2", "i/#recycle/1", "i/._b", "i/c", "i/d"]:
            store.write(key, b"1")
        left_out = LeftOut()
        assert [info.key for info in store.list("i/", left_out)] == ["i/a/1", "i/c", "i/d"]
        assert left_out.litter_in_words == "4 files and folders: #recycle/, .DS_Store, ._b, @eaDir/"
        left_out = LeftOut()
        assert store.children("i/", left_out) == ["a"]
        assert left_out.litter_in_words == "2 files and folders: #recycle/, ._b"
        assert left_out.strays == {"i/": (2, "c")}
        store.remove_tree("i/a/")
        assert store.info("i/a/@eaDir/2") is None

    @pytest.mark.parametrize("name", ODD)
    def test_odd_names_are_plain_keys(self, store: Store, name: str) -> None:
        store.write(f"images/c/{name}", name.encode())
        assert [info.key for info in store.list("images/")] == [f"images/c/{name}"]
        assert store.read(f"images/c/{name}") == name.encode()
        assert store.children("images/") == ["c"]
        with store.open(f"images/c/{name}") as file:
            assert file.read() == name.encode()

    @pytest.mark.parametrize("key", [*ESCAPES, ".rd-inspect-lock", "a/.rd-inspect-x"])
    def test_keys_that_lead_elsewhere_are_never_written(self, store: Store, key: str) -> None:
        for write in (store.write, store.create, lambda k, d: store.replace(k, d, "e")):
            with pytest.raises(InvalidKey):
                write(key, b"1")
        assert list(store.list("")) == []

    def test_a_read_only_store_is_only_read(self, uri: str, store: Store) -> None:
        store.write("k", b"1")
        reader = open_store(uri, read_only=True)
        assert reader.read("k") == b"1"
        for write in (reader.write, reader.create, lambda k, d: reader.replace(k, d, "e")):
            with pytest.raises(StoreReadOnly, match="reading only"):
                write("k", b"2")
        assert reader.zarr_store("z").read_only
        assert store.read("k") == b"1"

    def test_of_many_creators_one_wins(self, uri: str) -> None:
        stores = [open_store(uri) for _ in range(6)]
        for attempt in range(3):
            won = race([partial(s.create, f"k{attempt}", b"%d" % i) for i, s in enumerate(stores)])
            assert won.count(None) == 1
            assert {type(e) for e in won if e} == {AlreadyExists}
            assert stores[0].read(f"k{attempt}") == b"%d" % won.index(None)

    def test_of_many_swaps_none_is_lost(self, uri: str) -> None:
        """A counter that each thread raises by compare-and-swap: a lost update would leave it too low."""
        open_store(uri).create("n", b"0")

        def raise_it() -> None:
            store, done = open_store(uri), 0
            while done < 4:
                data, etag = store.read_with_etag("n")
                try:
                    store.replace("n", b"%d" % (int(data) + 1), etag)
                    done += 1
                except Conflict:
                    pass

        assert race([raise_it] * 3) == [None] * 3
        assert open_store(uri).read("n") == b"12"

    def test_readers_see_whole_objects_while_writers_write(self, uri: str, store: Store) -> None:
        bodies = [bytes([i]) * 200_000 for i in range(4)]
        store.write("k", bodies[0])
        stop = threading.Event()

        def write() -> None:
            writer = open_store(uri)
            for i in range(20):
                writer.write("k", bodies[i % 4])
            stop.set()

        def read() -> None:
            reader = open_store(uri)
            while not stop.is_set():
                assert reader.read("k") in bodies

        assert race([write, read]) == [None, None]

    def test_remove_takes_one_object_and_again_changes_nothing(self, store: Store) -> None:
        for key in ("a/b", "a/b-c", "a/d/e"):
            store.write(key, b"1")
        for _ in range(2):
            for key in ("a/b", "a/d", "never/there"):  # a folder is no object
                store.remove(key)
            assert [info.key for info in store.list("")] == ["a/b-c", "a/d/e"]
        store.create("a/b", b"2")
        assert store.read("a/b") == b"2"

    def test_remove_tree_takes_what_is_below_and_nothing_else(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3_store, "_PAGE", 2)
        for key in ("m/x.zarr/zarr.json", "m/x.zarr/c/0/0/0", "m/x.zarr/c/1/0/0", "m/x.zarr-2/a", "m/x"):
            store.write(key, b"1")
        for _ in range(2):
            store.remove_tree("m/x.zarr/")
            store.remove_tree("never/there/")
            assert [info.key for info in store.list("")] == ["m/x", "m/x.zarr-2/a"]

    @pytest.mark.parametrize("key", [*ESCAPES, ".rd-inspect-lock"])
    def test_nothing_outside_is_removed(self, uri: str, store: Store, key: str) -> None:
        store.write("k", b"1")
        with pytest.raises(InvalidKey):
            store.remove(key)
        for prefix in (f"{key}/", "", "k"):
            with pytest.raises(InvalidKey):
                store.remove_tree(prefix)
        reader = open_store(uri, read_only=True)
        for remove in (reader.remove, reader.remove_tree):
            with pytest.raises(StoreReadOnly):
                remove("k/" if remove == reader.remove_tree else "k")
        assert store.read("k") == b"1"

    def test_part_of_an_object_can_be_read(self, store: Store) -> None:
        store.write("k", bytes(range(256)) * 100)
        with store.open("k") as file:
            file.seek(256 * 50 + 7)
            assert file.read(3) == bytes([7, 8, 9])

    def test_check_of_a_store_that_is_there(self, store: Store) -> None:
        assert store.check() is None

    def test_zarr_arrays(self, store: Store) -> None:
        array = zarr.create_array(store.zarr_store("maps/a b.zarr"), shape=(4, 3), chunks=(2, 3), dtype="int16")
        array[:] = np.arange(12).reshape(4, 3)
        again = zarr.open_array(store.zarr_store("maps/a b.zarr", read_only=True), mode="r")
        assert again[3].tolist() == [9, 10, 11]
        assert "maps/a b.zarr/zarr.json" in [info.key for info in store.list("maps/")]

    def test_duckdb_reads_by_address(self, store: Store) -> None:
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.table({"x": [1, 2, 3]}), buffer)
        store.write("scores/run_date=2026-03-02/p.parquet", buffer.getvalue().to_pybytes())
        with duckdb.connect() as connection:
            connection.register_filesystem(store.filesystem)
            uri = store.duckdb_uri("scores/run_date=2026-03-02/p.parquet")
            found = connection.execute(f"SELECT sum(x), any_value(run_date) FROM read_parquet('{uri}')")
            assert str(found.fetchall()) == "[(6, datetime.date(2026, 3, 2))]"

    def test_listings_go_on_across_pages(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(s3_store, "_PAGE", 3)
        keys = [f"m/{i}/{j}" for i in range(5) for j in range(2)]
        for key in keys:
            store.write(key, b"")
        assert [info.key for info in store.list("m/")] == keys
        assert store.children("m/") == ["0", "1", "2", "3", "4"]


class TestLocal(StoreContract):
    @pytest.fixture
    def uri(self, tmp_path: Path) -> str:
        (tmp_path / "a store").mkdir()
        return str(tmp_path / "a store")

    def test_what_killed_writers_left_is_shown_and_removed(self, uri: str, store: Store) -> None:
        store.write("a/k", b"1")
        zarrs = f"a/zarr.{'0' * 32}.partial"
        for name in ("a/.rd-inspect-00ff", ".rd-inspect-11", zarrs):
            (Path(uri) / name).write_bytes(b"half")
        left = list(store.temporaries())
        assert sorted(info.key for info in left) == [".rd-inspect-11", "a/.rd-inspect-00ff", zarrs]
        assert {info.size for info in left} == {4}
        for info in left * 2:
            store.remove_temporary(info.key)
        assert list(store.temporaries()) == []
        for key in ("a/k", ".rd-inspect-lock", "../.rd-inspect-1"):
            with pytest.raises(InvalidKey):
                store.remove_temporary(key)
        assert store.read("a/k") == b"1"
        assert (Path(uri) / ".rd-inspect-lock").exists()


class S3Contract(StoreContract):
    def test_a_bucket_that_does_not_exist(self, uri: str) -> None:
        store = open_store("s3://no-such-bucket-anywhere")
        with pytest.raises(StoreNotFound, match=r"no-such-bucket-anywhere.*AWS_ENDPOINT_URL"):
            store.check()
        for call in (lambda: store.read("k"), lambda: store.info("k"), lambda: list(store.list(""))):
            with pytest.raises(StoreNotFound):
                call()

    def test_no_credentials(self, store: Store, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(AccessDenied, match=r"no usable credentials.*AWS_ACCESS_KEY_ID"):
            open_store(uri).check()

    def test_two_prefixes_of_a_bucket_are_two_stores(self, uri: str) -> None:
        one, two = open_store(f"{uri}/one/"), open_store(f"{uri}/one-two")
        one.write("a/k", b"1")
        two.write("b/k", b"2")
        assert [info.key for info in one.list("")] == ["a/k"]
        assert (one.children(""), two.children("")) == (["a"], ["b"])
        assert open_store(uri).read("one-two/b/k") == b"2"


class TestMoto(S3Contract):
    @pytest.fixture
    def uri(self, moto_s3: Bucket) -> str:
        return moto_s3.uri

    @pytest.mark.parametrize("key", ["c/../up", "c//twice", "/lead", "c/./d", "back\\slash", "c/folder/"])
    def test_keys_only_s3_can_hold_are_shown_and_read(self, moto_s3: Bucket, store: Store, key: str) -> None:
        moto_s3.client().put_object(Bucket=moto_s3.name, Key=key, Body=b"1")
        assert [info.key for info in store.list("")] == [key]
        assert store.read(key) == b"1"
        with store.open(key) as file:
            assert file.read() == b"1"


class TestSeaweed(S3Contract):
    @pytest.fixture
    def uri(self, seaweed_s3: Bucket) -> str:
        return seaweed_s3.uri

    @pytest.mark.parametrize(("name", "value"), [("SECRET_ACCESS_KEY", "wr0ng"), ("ACCESS_KEY_ID", "AKIAWR0NG")])
    def test_wrong_credentials(
        self, store: Store, uri: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        store.write("k", b"1")
        monkeypatch.setenv(f"AWS_{name}", value)
        denied = open_store(uri)
        for call in (
            denied.check,
            lambda: denied.read("k"),
            lambda: denied.info("k"),
            lambda: denied.write("k", b""),
            lambda: denied.create("k2", b""),
            lambda: list(denied.list("")),
            lambda: denied.children(""),
            lambda: denied.open("k").__enter__(),
        ):
            with pytest.raises(AccessDenied, match=r"AWS_SECRET_ACCESS_KEY|credentials") as refused:
                call()
            assert value not in str(refused.value)
        assert store.read("k") == b"1"


def race(actions: list[Callable[[], None]]) -> list[Exception | None]:
    """Run all at the same moment, each in its thread; what each raised."""
    gate = threading.Barrier(len(actions))

    def run(action: Callable[[], None]) -> Exception | None:
        gate.wait()
        try:
            action()
        except Exception as e:  # noqa: BLE001  # returned, whatever its class, for the test to assert on
            return e
        return None

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))
