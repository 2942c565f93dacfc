"""Addresses of stores."""

from pathlib import Path

import pytest

from storage.errors import StorageError, StoreNotFound
from storage.filesystem import LocalStore, open_store
from storage.stores.s3_store import S3Store
from tests.object_stores import Bucket


def test_paths_and_file_addresses_open_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a b#c"
    folder.mkdir()
    open_store(folder).write("k", b"1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for uri in (str(folder), folder.as_uri(), "a b#c", f"{folder}/", "~/a b#c"):
        store = open_store(uri)
        assert isinstance(store, LocalStore)
        assert store.uri == str(folder)
        assert store.read("k") == b"1"


def test_a_folder_is_made_only_when_asked(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        open_store(tmp_path / "a/b").check()
    open_store(tmp_path / "a/b", create=True).check()


def test_s3_addresses(moto_s3: Bucket) -> None:
    store = open_store(f"s3://{moto_s3.name}/plant 1/line?/", create=True, read_only=True)
    assert isinstance(store, S3Store)
    assert (store.bucket, store.prefix, store.read_only) == (moto_s3.name, "plant 1/line?/", True)
    assert store.uri == f"s3://{moto_s3.name}/plant 1/line?"
    assert store.duckdb_uri("k") == f"s3://{moto_s3.name}/plant 1/line?/k"


def test_a_bucket_is_never_made(moto_s3: Bucket) -> None:
    with pytest.raises(StoreNotFound):
        open_store("s3://never-made", create=True).check()
    assert "never-made" not in str(moto_s3.client().list_buckets())


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("gs://bucket", "'gs' is not supported.*s3://bucket/prefix"),
        ("https://host/x", "'https' is not supported"),
        ("s3://", "names no bucket"),
        ("", "empty"),
        ("file://host/share", "another machine"),
    ],
)
def test_addresses_of_no_store(uri: str, words: str) -> None:
    with pytest.raises(StorageError, match=words):
        open_store(uri)


@pytest.mark.parametrize("uri", ["s3://AKIA:hunter2@bucket/x", "ftp://me:hunter2@host/x", "file://me:hunter2@h/x"])
def test_credentials_in_an_address_are_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(StorageError) as refused:
        open_store(uri)
    assert "hunter2" not in str(refused.value)
