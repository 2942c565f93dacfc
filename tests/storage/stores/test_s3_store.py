"""What only S3 can meet: lost answers, servers that do not answer, long listings."""

import secrets
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from storage.errors import AccessDenied, AlreadyExists, Conflict, NoConditionalWrites, TransientFault
from storage.filesystem import open_store
from storage.stores import s3_client, s3_conditions
from storage.stores.s3_store import S3Store
from tests.object_stores import FORGETFUL, HALF_FORGETFUL, UNABLE, Bucket, aws_settings


class LostAnswer:
    """A client whose conditional PUT arrives, loses its answer, and meets itself on the second try."""

    def __init__(self, client: Any, meanwhile: bytes | None = None) -> None:
        self._client, self._meanwhile = client, meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_object(self, **request: Any) -> Any:
        first = request if self._meanwhile is None else {**request, "Body": self._meanwhile}
        self._client.put_object(**first)
        try:
            return self._client.put_object(**request)
        except ClientError as e:
            e.response["ResponseMetadata"]["RetryAttempts"] = 1
            raise


@pytest.fixture
def store(moto_s3: Bucket) -> S3Store:
    found = open_store(moto_s3.uri)
    assert isinstance(found, S3Store)
    return found


def test_an_answer_that_was_lost_is_no_conflict(store: S3Store) -> None:
    store._client = LostAnswer(store._client)
    store.create("k", b"1")
    store.replace("k", b"2", store.read_with_etag("k")[1])
    assert store.read("k") == b"2"


def test_another_writer_before_the_second_try_is_one(store: S3Store) -> None:
    bare = store._client
    store._client = LostAnswer(bare, meanwhile=b"theirs")
    with pytest.raises(AlreadyExists):
        store.create("k", b"mine")
    etag = store.read_with_etag("k")[1]
    store._client = LostAnswer(bare, meanwhile=b"theirs again")
    with pytest.raises(Conflict):
        store.replace("k", b"mine", etag)
    assert store.read("k") == b"theirs again"


def test_an_object_replaced_while_its_parts_are_read(store: S3Store) -> None:
    store.write("k", bytes(300_000))
    with pytest.raises(TransientFault), store.open("k") as file:
        file.read(10)
        store.write("k", b"1" * 300_000)
        file.seek(250_000)
        file.read(10)


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for name, value in aws_settings(f"http://127.0.0.1:{closed.getsockname()[1]}").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setitem(s3_client._LIMITS, "retries", {"mode": "standard", "total_max_attempts": 1})
        with pytest.raises(TransientFault, match="AWS_ENDPOINT_URL"):
            open_store("s3://bucket").check()


def test_connections_have_time_limits_and_retries(store: S3Store) -> None:
    config = store._client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (5, 60)
    assert config.retries == {"mode": "standard", "total_max_attempts": 4}
    remote = store.filesystem
    assert remote.config_kwargs["connect_timeout"] == 5
    assert remote.dircache.use_listings_cache is False


@pytest.mark.parametrize(("endpoint", "proxied"), [("http://127.0.0.1:9000", False), ("http://s3.plant", True)])
def test_a_server_on_this_machine_is_reached_past_the_plants_proxies(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, proxied: bool
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**aws_settings(endpoint), "http_proxy": "http://proxy.plant:3128"}.items():
        monkeypatch.setenv(name, value)
    store = open_store("s3://bucket")
    assert isinstance(store, S3Store)
    session = store._client._endpoint.http_session
    assert bool(session._proxy_config.proxy_url_for(endpoint)) == proxied
    assert ("proxies" in store.filesystem.config_kwargs) != proxied


def test_stores_of_the_same_settings_share_connections(
    store: S3Store, moto_s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_store(moto_s3.uri)._client is store._client
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    assert open_store(moto_s3.uri)._client is not store._client


@pytest.mark.parametrize(
    ("kind", "told"), [(FORGETFUL, "If-None-Match and If-Match"), (HALF_FORGETFUL, "of If-Match"), (UNABLE, "501")]
)
def test_a_server_that_forgets_conditions_is_refused(moto_s3: Bucket, kind: str, told: str) -> None:
    bucket = f"{kind}{secrets.token_hex(6)}"
    client = moto_s3.client()
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="p/k", Body=b"1")
    store = open_store(f"s3://{bucket}/p")
    etag = store.read_with_etag("k")[1]
    for write in (store.check, lambda: store.create("new", b"2"), lambda: store.replace("k", b"2", etag)):
        with pytest.raises(NoConditionalWrites, match=rf"s3://{bucket}/p: .*{told}.*both would win.*MinIO"):
            write()
    assert (store.read("k"), store.info("new")) == (b"1", None)
    reader = open_store(f"s3://{bucket}/p", read_only=True)
    reader.check()
    assert [info.key for info in reader.list("")] == ["k"]


def test_a_server_is_asked_once_and_without_removing(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    bare = store._client

    def note(**request: Any) -> Any:
        asked.append(request["Key"])
        return bare.put_object(**request)

    store._client = SimpleNamespace(meta=bare.meta, put_object=note, list_objects_v2=bare.list_objects_v2)
    store.check()
    assert len(asked) == 3
    store.create("k", b"1")
    open_store(store.uri).check()
    assert asked[3:] == ["k"]
    monkeypatch.setattr(s3_conditions, "_trusted", set())  # as another process
    store.check()
    assert len(asked) == 6  # the object is there, so that two questions will do
    assert [info.key for info in open_store(store.uri).list("")] == ["k"]


def test_who_may_not_write_is_told_so(store: S3Store) -> None:
    def deny(**_: Any) -> Any:
        answer = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise ClientError(answer, "PutObject")

    bare = store._client
    store._client = SimpleNamespace(meta=bare.meta, put_object=deny)
    with pytest.raises(AccessDenied, match="cannot try conditional writes"):
        store.create("k", b"1")


def test_what_the_server_did_not_remove_is_raised(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request as a whole succeeds; each object that stays is told in its answer."""
    store.write("m/a", b"1")
    refused = {"Errors": [{"Key": f"{store.prefix}m/a", "Code": "AccessDenied", "Message": "no"}]}
    monkeypatch.setattr(store._client, "delete_objects", lambda **_: refused)
    with pytest.raises(TransientFault, match=r"m/a was not removed: AccessDenied no"):
        store.remove_tree("m/")


@pytest.mark.slow
def test_a_night_of_100_000_objects_is_listed_in_bounded_memory(
    store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pages(prefix: str) -> Iterator[dict[str, Any]]:
        now = datetime(2026, 3, 2, tzinfo=UTC)
        for page in range(100):
            yield {
                "Contents": [
                    {"Key": f"{prefix}{page:03}-{i:04}", "ETag": f'"{page}-{i}"', "Size": 1, "LastModified": now}
                    for i in range(1000)
                ]
            }

    monkeypatch.setattr(store, "_pages", pages)
    tracemalloc.start()
    try:
        assert sum(1 for _ in store.list("images/")) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


_MAPS = """
import sys
import numpy as np
from storage.partitions.anomaly_maps import MapArray, create_maps, read_map, write_batch_maps
from storage.filesystem import open_store
store = open_store(sys.argv[1])
store.filesystem.exists(store.duckdb_uri("x"))
create_maps(store, "maps/a.zarr", MapArray(2, 8, 8, batch_size=2))
write_batch_maps(store, "maps/a.zarr", 0, np.ones((2, 8, 8), np.float16))
print(read_map(store, "maps/a.zarr", 1).sum())
"""


def test_a_process_ends_without_complaints(moto_s3: Bucket) -> None:
    """Connections that are left open print warnings at a command's end."""
    command = [sys.executable, "-W", "default", "-c", _MAPS, moto_s3.uri]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("64.0\n", "")
