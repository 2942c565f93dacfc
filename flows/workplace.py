"""Runs a run's tasks in this process if there is little to do, else on the Dask cluster; waits for their results."""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

import dask.system
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.preflight.night_size import WORTH_SECONDS
from flows.settings import Settings

ALWAYS = float("inf")
"""stands for trainings, which need a cluster however few: each keeps a core busy for minutes"""

R = TypeVar("R")

_open: ContextVar["Workplace | None"] = ContextVar("workplace", default=None)


class Workplace:
    """The workplace of one run and the runs inside it, made by `workplace`."""

    def __init__(self, settings: Settings, exits: contextlib.ExitStack) -> None:
        self._settings = settings
        self._exits = exits
        self.scheduler: str | None = None
        """address of the cluster, once there is one"""

    def runner(self, seconds: float, *, tasks: int | None = None, in_turn: bool = False) -> TaskRunner[Any]:
        """A task runner for work of about `seconds` on one core.

        The first work that is large enough starts an embedded cluster for `tasks` at once; then all work goes
        there. A configured cluster is always used. `in_turn`: one task after the other in this process, for tasks
        that share a model.
        """
        if self.scheduler is None and (self._settings.plant.dask_address or seconds > WORTH_SECONDS):
            self._start(tasks)
        if self.scheduler is None:
            cores = self._settings.plant.workers or dask.system.cpu_count()
            return ThreadPoolTaskRunner(max_workers=1 if in_turn else cores)
        from flows.dask_cluster import dask_runner  # noqa: PLC0415  # imports Dask, half a second that small runs save

        return dask_runner(self.scheduler)

    def _start(self, tasks: int | None) -> None:
        from flows.dask_cluster import dask_cluster  # noqa: PLC0415  # imports Dask, half a second that small runs save

        self.scheduler = self._exits.enter_context(dask_cluster(self._settings, most_workers=tasks))

    @contextlib.contextmanager
    def bars(self, stage: str, totals: Mapping[str, int | None]) -> Iterator[None]:
        """Progress bars of work on the cluster; work in this process takes only seconds."""
        if self.scheduler is None:
            yield
            return
        from flows.watching.progress import progress_bars  # noqa: PLC0415  # imports Dask, half a second that small runs save

        with progress_bars(self.scheduler, stage, totals):
            yield


@contextlib.contextmanager
def workplace(settings: Settings) -> Iterator[Workplace]:
    """The workplace of the surrounding run, else a new one, whose cluster ends with it."""
    around = _open.get()
    if around is not None:
        yield around
        return
    with contextlib.ExitStack() as exits:
        made = Workplace(settings, exits)
        token = _open.set(made)
        try:
            yield made
        finally:
            _open.reset(token)


def settle(futures: Mapping[str, PrefectFuture[R]]) -> tuple[dict[str, R], dict[str, Exception]]:
    """Wait for all futures: (results, exceptions) by name; one that fails does not stop the others.

    Each future is asked for its result: waiting alone hides a task whose worker was killed.
    """
    results: dict[str, R] = {}
    problems: dict[str, Exception] = {}
    for name, future in futures.items():
        try:
            results[name] = future.result()
        except Exception as e:  # noqa: BLE001  # returned by name; the caller reports it, and the others continue
            problems[name] = e
    return results, problems
