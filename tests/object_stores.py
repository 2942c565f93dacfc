"""S3 servers for tests: moto (quick, checks no credentials) and SeaweedFS (a real one, up in seconds).

Import the fixtures into a conftest.py: `moto_s3` gives a fresh bucket, `seaweed_s3` a fresh prefix of one, and
each points the usual AWS settings at its server. The servers run once a session.
"""

import functools
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ACCESS_KEY = "AKIATESTSONLY"
SECRET_KEY = "a secret for tests only"
SEAWEED_BUCKET = "plant"
FORGETFUL, HALF_FORGETFUL, UNABLE = "forgetful-", "half-forgetful-", "unable-"
"""buckets so named, at the quick server, are of one that ignores conditions, or If-Match alone, or that knows none"""
_START_SECONDS = 60


@dataclass(frozen=True)
class Bucket:
    """An empty place in a running server; the AWS settings of the process lead to it."""

    endpoint: str
    name: str
    prefix: str = ""
    """'' or ending in '/'"""

    @property
    def uri(self) -> str:
        """As `open_store` takes it."""
        return f"s3://{self.name}/{self.prefix}".rstrip("/")

    def client(self) -> Any:
        """A bare S3 client, to put things beside the code under test."""
        return s3_client(self.endpoint)


@functools.cache  # it reads megabytes of descriptions when it is made
def s3_client(endpoint: str) -> Any:
    return botocore.session.get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 1}),
    )


def aws_settings(endpoint: str) -> dict[str, str]:
    """The environment under which the usual AWS settings lead to `endpoint`, whatever the developer's own are."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    # moto takes seconds to import, and few tests need its server
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415
    from werkzeug.serving import make_server  # noqa: PLC0415  # moto's own server, as above

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    moto, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def in_turn(environ: dict[str, Any], start_response: Any) -> Any:
        """moto looks whether a condition holds and writes in two steps, between which another request may come."""
        bucket = environ["PATH_INFO"].split("/")[1]
        conditions = {name for name in ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH") if name in environ}
        if conditions and bucket.startswith(UNABLE) and environ["REQUEST_METHOD"] == "PUT":
            start_response("501 Not Implemented", [("Content-Type", "application/xml")])
            return [b"<Error><Code>NotImplemented</Code><Message>A header is not implemented</Message></Error>"]
        if bucket.startswith((FORGETFUL, HALF_FORGETFUL)):
            environ.pop("HTTP_IF_MATCH", None)
        if bucket.startswith(FORGETFUL):
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with turn:
            return moto(environ, start_response)

    server = make_server("127.0.0.1", 0, in_turn, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="session")
def seaweed_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_seaweed(tmp_path_factory.mktemp("seaweed")) as endpoint:
        yield endpoint


@pytest.fixture
def moto_s3(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    _use_settings(moto_endpoint, monkeypatch)
    bucket = Bucket(moto_endpoint, f"test-{secrets.token_hex(6)}")
    bucket.client().create_bucket(Bucket=bucket.name)
    return bucket


@pytest.fixture
def seaweed_s3(seaweed_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    _use_settings(seaweed_endpoint, monkeypatch)
    # A bucket takes it a second to make.
    return Bucket(seaweed_endpoint, SEAWEED_BUCKET, f"test {secrets.token_hex(6)}/")


@contextmanager
def running_seaweed(folder: Path) -> Iterator[str]:
    """A SeaweedFS server that keeps its data in `folder`; its S3 endpoint."""
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "ids.json").write_text(json.dumps({"identities": [identity]}))
    ports = dict(zip(_SEAWEED_PORTS, _free_ports(len(_SEAWEED_PORTS)), strict=True))
    command = [
        str(Path(sysconfig.get_path("scripts")) / "weed"),
        "server",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-s3",
        f"-s3.config={folder / 'ids.json'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-volume.max=0",
        # Each bucket takes volumes of its own: of the default size a disk holds too few for many buckets.
        "-master.volumeSizeLimitMB=64",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    log = folder / "server.log"
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as server:
        try:
            _await_server(endpoint, server, log)
            yield endpoint
        finally:
            # Nothing of it is kept, and a polite end takes it half a minute and more.
            server.send_signal(signal.SIGKILL)


_SEAWEED_PORTS = (
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
)


def _await_server(endpoint: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    client, deadline = s3_client(endpoint), time.monotonic() + _START_SECONDS
    while True:
        try:
            # It listens before it can store, so only a stored object tells that it is up.
            if not client.list_buckets()["Buckets"]:
                client.create_bucket(Bucket=SEAWEED_BUCKET)
            client.put_object(Bucket=SEAWEED_BUCKET, Key="up", Body=b"up")
            return
        except (BotoCoreError, ClientError):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"SeaweedFS does not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _use_settings(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in aws_settings(endpoint).items():
        monkeypatch.setenv(name, value)
