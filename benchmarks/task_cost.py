"""What a task costs that does nothing: processor milliseconds of the flow, of the worker and of the Prefect server.

    python -m benchmarks.task_cost [--tasks 40] [--rounds 3]

On the embedded server and the embedded cluster, workers warm. A round's figures are the kernel's, of all threads.
"""

import argparse
import json
import os
import tempfile
import time

import psutil
from prefect import flow, task

from benchmarks.record import Record, add_results_option
from flows.dask_cluster import dask_cluster, dask_runner
from flows.prefect_server import home_folder, prefect_server
from flows.settings import load_settings


@task
def nothing() -> int:
    """The process that ran it."""
    return os.getpid()


@flow
def fan_out(tasks: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds a task, one of each a round."""
    server = json.loads((home_folder() / "prefect-server.json").read_text())["pid"]
    processes = [os.getpid(), server, *_workers_of(8)]
    milliseconds: dict[str, list[float]] = {name: [] for name in ("flow", "workers", "server", "wall")}
    for _ in range(rounds):
        before, began = list(map(_seconds, processes)), time.perf_counter()
        _workers_of(tasks)
        wall = time.perf_counter() - began
        spent = [_seconds(pid) - earlier for pid, earlier in zip(processes, before, strict=True)]
        own, of_server, *of_workers = [seconds * 1000 / tasks for seconds in spent]
        figures = (own, sum(of_workers), of_server, wall * 1000 / tasks)
        for values, figure in zip(milliseconds.values(), figures, strict=True):
            values.append(figure)
    return milliseconds


def _workers_of(tasks: int) -> set[int]:
    """The processes that ran so many tasks."""
    futures = [nothing.submit() for _ in range(tasks)]
    return {future.result() for future in futures}


def _seconds(pid: int) -> float:
    """of a processor, so far"""
    spent = psutil.Process(pid).cpu_times()
    return float(spent.user + spent.system)


def main() -> None:
    """Run the flow on a cluster of this machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    add_results_option(parser)
    arguments = parser.parse_args()
    record = Record.begin("task_cost")
    os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
    with (
        tempfile.TemporaryDirectory() as folder,
        prefect_server(),
        dask_cluster(load_settings(folder)) as scheduler,
    ):
        measure = fan_out.with_options(task_runner=dask_runner(scheduler))
        milliseconds = measure(arguments.tasks, arguments.rounds)
    rows = {"a task that does nothing": {f"{name} ms": values for name, values in milliseconds.items()}}
    record.write(arguments.results / "task_cost.json", rows, {"tasks": arguments.tasks})


if __name__ == "__main__":
    main()
