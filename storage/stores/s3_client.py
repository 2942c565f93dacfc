"""Connections to S3, shared by all stores of a process with the same AWS settings."""

import atexit
import hashlib
import io
import os
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import botocore.session
from botocore.config import Config
from s3fs import S3FileSystem
from zarr.core.sync import sync

_LIMITS = {
    "connect_timeout": 5,  # seconds
    "read_timeout": 60,  # seconds
    "retries": {"mode": "standard", "total_max_attempts": 4},
    "max_pool_connections": 32,
}


def client() -> Any:
    """A thread-safe botocore S3 client with the present AWS settings."""
    return _client(_fingerprint())


def filesystem(*, asynchronous: bool) -> Any:
    """An s3fs file system with the present AWS settings.

    `asynchronous`: for zarr, which awaits in its own event loop.
    """
    return _filesystem(_fingerprint(), asynchronous)


@cache
def _client(_settings: str) -> Any:
    begun = _begun({})
    past = _past_proxies(begun) if getproxies() else {}
    return _begun(past) if past else begun


@cache
def _filesystem(_settings: str, asynchronous: bool) -> Any:
    files = S3FileSystem(
        asynchronous=asynchronous,
        config_kwargs={**_LIMITS, **_past_proxies(_client(_settings))},
        use_listings_cache=False,
        # Its own cache goes by arguments alone: it would hand out the credentials of earlier settings.
        skip_instance_cache=True,
    )
    if asynchronous:
        # s3fs closes only what it opened in its own loop; zarr's loop ends right after this.
        atexit.register(_close, files)
    return files


def _begun(more: dict[str, Any]) -> Any:
    return botocore.session.get_session().create_client("s3", config=Config(**_LIMITS, **more))


def _past_proxies(client: Any) -> dict[str, Any]:
    """The setting that bypasses proxies for a server on this machine, which a proxy could not find."""
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    return {"proxies": {}} if host in {"localhost", "::1"} or host.startswith("127.") else {}


def _close(files: Any) -> None:
    opened = getattr(files, "_s3creator", None)
    if opened is not None:
        sync(opened.__aexit__(None, None, None), timeout=5)


def _fingerprint() -> str:
    """A fingerprint of botocore's settings and the process: a forked child must not use its parent's connections."""
    seen = sorted(item for item in os.environ.items() if item[0].startswith("AWS_"))
    return hashlib.sha256(repr((os.getpid(), seen)).encode()).hexdigest()


class ObjectFile(io.RawIOBase):
    """A seekable S3 object whose reads fetch only their bytes, of the version first seen.

    Not s3fs, which normalises paths (so odd keys name other objects) and asks for the size repeatedly.
    """

    def __init__(self, s3: Any, bucket: str, key: str) -> None:
        self._get = {"Bucket": bucket, "Key": key}
        self._s3 = s3
        head = s3.get_object(**self._get)  # not head_object, which cannot tell why it is refused
        head["Body"].close()
        self._get["IfMatch"] = head["ETag"]
        self._size = int(head["ContentLength"])
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        stop = min(self._size, self._at + len(buffer))
        if stop <= self._at:
            return 0
        answer = self._s3.get_object(**self._get, Range=f"bytes={self._at}-{stop - 1}")
        with answer["Body"] as body:
            data = body.read()
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
