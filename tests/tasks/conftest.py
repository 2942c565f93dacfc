"""Tasks are called as plain functions here; the flows' tests run them on Prefect and Dask."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from storage.filesystem import Store, open_store
from tests.teachers_once import teachers_built_once


@pytest.fixture(scope="session", autouse=True)
def _teachers_are_built_once() -> Iterator[None]:
    with teachers_built_once():
        yield


@pytest.fixture(autouse=True)
def _no_run_logger() -> Iterator[None]:
    with disable_run_logger():
        yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "plant", create=True)
