"""S3 servers for tests: moto (quick, checks no credentials) and SeaweedFS (a real one, up in seconds).

Import the fixtures into a conftest.py: `moto_s3` gives a fresh bucket, `seaweed_s3` a fresh prefix of one, and
each points the usual AWS settings at its server. The servers run once a session.
"""

import logging
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from proofs.seaweed import SEAWEED_BUCKET, aws_settings, running_seaweed, s3_client

FORGETFUL, HALF_FORGETFUL, UNABLE = "forgetful-", "half-forgetful-", "unable-"
"""buckets so named, at the quick server, are of one that ignores conditions, or If-Match alone, or that knows none"""


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


def _use_settings(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in aws_settings(endpoint).items():
        monkeypatch.setenv(name, value)
