"""A temporary S3 server (SeaweedFS) for proofs and tests, and the settings that lead to it."""

import functools
import json
import os
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ACCESS_KEY = "AKIATESTSONLY"
SECRET_KEY = "a secret for tests only"
SEAWEED_BUCKET = "plant"
_START_SECONDS = 60


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
    """Environment variables that direct AWS clients to `endpoint`, whatever the developer's own settings."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def running_seaweed(folder: Path) -> Iterator[str]:
    """Run a SeaweedFS server with its data in `folder`; yields its S3 endpoint."""
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
                raise RuntimeError(f"SeaweedFS does not start: {log.read_text(errors='replace')[-2000:]}") from None
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
