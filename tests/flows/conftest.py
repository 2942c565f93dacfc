"""Flows run on a real Prefect server and real Dask workers here."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.filesystem import Store, open_store
from tests.flows.worker_environment import aws_settings_on_workers
from tests.object_stores import Bucket


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "plant", create=True)


@pytest.fixture
def s3_store(seaweed_s3: Bucket, scheduler: str) -> Iterator[Store]:
    """On a real S3 server, which the workers know too."""
    with aws_settings_on_workers(scheduler):
        yield open_store(seaweed_s3.uri)


@pytest.fixture
def command_environment(prefect_api: str) -> Callable[..., dict[str, str]]:
    """The environment of a command that shares the tests' Prefect server."""

    def environment(**more: str) -> dict[str, str]:
        return {**os.environ, "PREFECT_API_URL": prefect_api, "PREFECT_LOGGING_LEVEL": "INFO", **more}

    return environment
