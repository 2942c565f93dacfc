"""Where a run's tasks are done, without a cluster: whether one is started is what these tests are about."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.task_runners import ThreadPoolTaskRunner

from flows import dask_cluster
from flows.category_settings import CategorySettings
from flows.settings import PlantSettings, Settings
from flows.workplace import ALWAYS, WORTH_SECONDS, workplace

ADDRESS = "tcp://10.0.0.1:8786"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What became of clusters: their workers at most when they started, 'ended' when they did."""
    told: list[Any] = []

    @contextlib.contextmanager
    def cluster(_: Settings, *, most_workers: int | None) -> Iterator[str]:
        told.append(most_workers)
        yield ADDRESS
        told.append("ended")

    monkeypatch.setattr(dask_cluster, "dask_cluster", cluster)
    return told


def settings(**plant: object) -> Settings:
    return Settings(store=".", plant=PlantSettings(**plant), defaults=CategorySettings(), categories={})


def test_little_work_is_done_here_and_tasks_of_one_model_in_turn(started: list[Any]) -> None:
    with workplace(settings(workers=3)) as place:
        runner = place.runner(WORTH_SECONDS)
        assert isinstance(runner, ThreadPoolTaskRunner)
        assert runner == ThreadPoolTaskRunner(max_workers=3)
        assert place.runner(0, in_turn=True) == ThreadPoolTaskRunner(max_workers=1)
        with place.bars("inspect", {"tile": 4}):
            pass
    assert started == []


def test_the_first_work_that_is_worth_a_cluster_starts_one_and_all_goes_there_from_then_on(
    started: list[Any],
) -> None:
    with workplace(settings()) as place:
        place.runner(1)
        assert place.scheduler is None
        large = place.runner(WORTH_SECONDS + 1, tasks=5)
        assert place.scheduler == ADDRESS
        assert type(place.runner(0)) is type(large)
        assert not isinstance(large, ThreadPoolTaskRunner)
        place.runner(ALWAYS)
        assert started == [5]
    assert started == [5, "ended"]


def test_a_configured_cluster_is_used_for_the_least_work(started: list[Any]) -> None:
    with workplace(settings(dask_address=ADDRESS)) as place:
        assert not isinstance(place.runner(0), ThreadPoolTaskRunner)
    assert started == [None, "ended"]


def test_a_run_inside_another_shares_its_workplace(started: list[Any]) -> None:
    with workplace(settings()) as outer:
        outer.runner(ALWAYS)
        with workplace(settings()) as inner:
            assert inner is outer
        assert started == [None]
    with workplace(settings()) as later:
        assert later is not outer
        assert later.scheduler is None
