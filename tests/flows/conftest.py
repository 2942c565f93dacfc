"""Flows run on a real Prefect server and real Dask workers here."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.filesystem import Store, open_store

REPORTING = {
    "test_automations",
    "test_backfill",
    "test_deployments",
    "test_drift",
    "test_evaluation",
    "test_paper_benchmark",
    "test_retraining",
}
"""about half of the time that all take"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two processes run all of these: the tests of each share a Prefect server and a Dask cluster, slow to start."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("reports" if item.path.stem in REPORTING else "nights"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "plant", create=True)


@pytest.fixture
def command_environment(prefect_api: str) -> Callable[..., dict[str, str]]:
    """The environment of a command that shares the tests' Prefect server."""

    def environment(**more: str) -> dict[str, str]:
        return {**os.environ, "PREFECT_API_URL": prefect_api, "PREFECT_LOGGING_LEVEL": "INFO", **more}

    return environment
