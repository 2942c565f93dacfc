"""The Dask cluster of one run: the configured one, else an embedded one on this machine."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import dask
import dask.system
from distributed import Client, LocalCluster, Worker, WorkerPlugin
from distributed.security import Security
from prefect.context import SettingsContext, get_settings_context
from prefect.task_runners import TaskRunner
from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

from flows.machinery import worker_start
from flows.machinery.environment import environment_kept
from flows.settings import Settings
from tasks.worker.traces import are_wanted

WORKER_MEMORY_SHARE = 0.8
"""of the machine's memory, divided among the workers; a worker beyond its share is restarted, its task run again"""

_NICENESS = 10
"""of workers with lower priority"""
_CALM = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.worker.memory.monitor-interval": "1s",
}
"""Dask profiles itself 50 times a second in every process: 15 % of a core."""
_NO_PAGES: dict[str, list[str]] = {f"distributed.{who}.http.routes": [] for who in ("scheduler", "worker", "nanny")}
"""Dask's own pages have no login, and they show logs and can stop workers."""


@contextlib.contextmanager
def dask_cluster(settings: Settings, *, most_workers: int | None = None) -> Iterator[str]:
    """The scheduler's address. An embedded cluster has one process for each usable core (affinity, cgroups), with
    one task at a time, and accepts only clients with its certificate, which this process's clients have.

    `most_workers`: tasks at the same time. With fewer tasks than cores, a worker uses the spare cores as torch
    threads.
    """
    with _quiet():
        if settings.plant.dask_address:
            yield settings.plant.dask_address
        else:
            with _embedded(settings, most_workers) as address:
                yield address


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask logs every connection and worker as INFO. Warnings stay; the user's own Dask logging configuration
    wins."""
    logger = logging.getLogger("distributed")
    before = logger.level
    if dask.config.get("logging", None) is None:
        logger.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _embedded(settings: Settings, most_workers: int | None) -> Iterator[str]:
    cores = settings.plant.workers or dask.system.cpu_count()
    workers = max(1, min(cores, most_workers or cores))
    worker_start.begin_imports()
    with dask.config.set({**_CALM, **_NO_PAGES, **worker_start.DASK_CONFIG, **_traced(), **_walled()}):
        with environment_kept(_set_by_dask()):
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                silence_logs=logging.ERROR,
                # the whole environment: a forked worker begins with that of its parent
                env={**os.environ, "RD_INSPECT_TORCH_THREADS": str(max(1, cores // workers))},
                memory_limit=WORKER_MEMORY_SHARE / workers,
            )
        with cluster, Client(cluster):
            yield cluster.scheduler_address


def _walled() -> dict[str, object]:
    """Dask settings for TLS with a new certificate, held in memory only. Whoever reaches a scheduler or worker on
    127.0.0.1, as every user of the machine can, could otherwise run code as us."""
    made = Security.temporary()
    tls = {"ca-file": made.tls_ca_file}
    for who in ("scheduler", "worker", "client"):
        tls |= {f"{who}.{what}": getattr(made, f"tls_{who}_{what}") for what in ("key", "cert")}
    return {"distributed.comm.require-encryption": True} | {
        f"distributed.comm.tls.{name}": value for name, value in tls.items()
    }


def _set_by_dask() -> set[str]:
    """What Dask sets in this process when it starts a worker, and leaves for all later children, such as one
    thread."""
    return {*dask.config.get("distributed.nanny.pre-spawn-environ"), "PYTHONHASHSEED", "__DASK_PARENT_PID"}


def _traced() -> dict[str, list[str]]:
    """The preload that sends a worker's spans, added to the configured ones."""
    preload = "distributed.worker.preload"
    return {preload: [*dask.config.get(preload), "tasks.worker.traces"]} if are_wanted() else {}


def dask_runner(address: str) -> TaskRunner[Any]:
    """Created by address: a runner made with `cluster=` is lost when a flow duplicates it."""
    return _LightRunner(address=address)


class _LightRunner(DaskTaskRunner):
    """Sends Prefect's settings with each task as pickled objects.

    Prefect converts a thousand settings to plain data and back for every task: 100 ms of processors.
    """

    def submit(self, *args: Any, **kwargs: Any) -> PrefectDaskFuture[Any]:  # type: ignore[override]  # mypy does not see that *args and **kwargs take every overload
        """As its base class does."""
        context = get_settings_context()
        with _SettingsAsTheyAre(profile=context.profile, settings=context.settings):
            return super().submit(*args, **kwargs)


class _SettingsAsTheyAre(SettingsContext):
    def serialize(self, include_secrets: bool = True) -> dict[str, Any]:  # noqa: ARG002  # the base class's signature; whole objects keep their secrets anyway
        return {"profile": self.profile, "settings": self.settings}


class _Courtesy(WorkerPlugin):
    """A worker plugin, so that restarted workers have it too."""

    name = "rd-inspect-courtesy"

    def setup(self, worker: Worker) -> None:  # noqa: ARG002  # Dask calls WorkerPlugin.setup with worker as a keyword
        os.nice(_NICENESS)


def let_others_go_first(scheduler: str) -> None:
    """Lower the process priority of all workers of our own cluster at that address. On a shared cluster the
    batches' priority does it."""
    with Client(scheduler, set_as_default=False) as client:
        client.register_plugin(_Courtesy())


def on_every_worker(scheduler: str, function: Callable[[], None]) -> None:
    """Call it in each worker at that address."""
    with Client(scheduler, set_as_default=False) as client:
        client.run(function)
