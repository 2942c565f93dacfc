"""Processes of the storm: commands and a Dask cluster whose parts can be killed, forked from one warm process.

A forked command starts faster, because the fork server has done the imports. It has its own process group and runs
the command line's `main`.
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from multiprocessing.forkserver import set_forkserver_preload
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import dask
import psutil
from distributed import Client, Nanny, Scheduler
from distributed.utils import get_mp_context

from flows.cli import main

_WARM = multiprocessing.get_context("forkserver")
set_forkserver_preload(["proofs.storm.warm"])
_WORKERS = 2

Work = Callable[[str], Coroutine[Any, Any, None]]
"""a scheduler or workers at an address, until they end"""


class Command:
    """A running `rd-inspect` command."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.process = _WARM.Process(target=_run_command, args=(list(arguments), dict(environment), log))
        self.process.start()

    @property
    def running(self) -> bool:
        return self.process.is_alive()

    def kill(self) -> None:
        """Kill the process group: the flow with its workers and server."""
        _kill_group(self.process)

    def wait(self, seconds: float) -> int | None:
        """Its exit code, negative when killed; None after the time limit."""
        self.process.join(seconds)
        return self.process.exitcode


class Cluster:
    """A scheduler process, and workers under nannies, which reconnect when the scheduler returns."""

    def __init__(self, log: Path) -> None:
        self.address = f"tcp://127.0.0.1:{_free_port()}"
        self._log = log
        self._scheduler = self._started(_run_scheduler)
        self._workers = self._started(_run_workers)

    def _started(self, work: Work) -> BaseProcess:
        process = _WARM.Process(target=_in_group, args=(work, self.address, self._log))
        process.start()
        return process

    def worker_pids(self, seconds: float = 120) -> list[int]:
        """Process ids, once all workers are present."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, TimeoutError), Client(self.address, timeout=20) as client:
                pids = list(client.run(os.getpid).values())
                if len(pids) == _WORKERS:
                    return pids
            time.sleep(0.1)
        raise TimeoutError(f"the Dask workers at {self.address} are not all there after {seconds} s; see {self._log}")

    def kill_scheduler(self) -> None:
        self._scheduler.kill()
        self._scheduler.join()

    def start_scheduler(self) -> None:
        """Start it at the same address unless it runs."""
        if not self._scheduler.is_alive():
            self._scheduler = self._started(_run_scheduler)


def end_all() -> None:
    """End running commands and clusters with all their processes."""
    for process in multiprocessing.active_children():
        _kill_group(process)
        process.join()


def server_is_up(home: Path) -> bool:
    """Whether a command owns an embedded Prefect server in `home`."""
    return (home / "prefect-server.json").exists()


def kill_server(home: Path) -> None:
    """Kill the embedded Prefect server whose address is in `home`, with its children."""
    # The file goes when the command has ended.
    with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
        server = psutil.Process(json.loads((home / "prefect-server.json").read_text())["pid"])
        for process in (server, *server.children(recursive=True)):
            process.kill()


def _run_command(arguments: list[str], environment: dict[str, str], log: Path) -> None:
    os.setsid()
    _log_to(log)
    os.environ.update(environment)
    sys.argv = ["rd-inspect", *arguments]
    main()


def _in_group(work: Work, address: str, log: Path) -> None:
    os.setsid()
    _log_to(log)
    asyncio.run(work(address))


async def _run_scheduler(address: str) -> None:
    async with Scheduler(host=address, dashboard_address="127.0.0.1:0") as scheduler:
        await scheduler.finished()


async def _run_workers(address: str) -> None:
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    get_mp_context()  # sets a list of its own, once
    set_forkserver_preload(["proofs.storm.warm"])
    host, port = address.removeprefix("tcp://").split(":")
    while True:
        with contextlib.suppress(OSError, RuntimeError):  # no scheduler yet, or one that went while they started
            socket.create_connection((host, int(port))).close()
            nannies = [Nanny(address, nthreads=1, memory_limit=0) for _ in range(_WORKERS)]
            await asyncio.gather(*nannies)
            await asyncio.gather(*(nanny.finished() for nanny in nannies))
        await asyncio.sleep(0.2)


def _kill_group(process: BaseProcess) -> None:
    with contextlib.suppress(ProcessLookupError):
        if process.pid is not None:
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()  # one that is so young that it has no group yet


def _log_to(log: Path) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
