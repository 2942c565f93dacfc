"""One night of benchmarks.night_sizes, in a process of its own, whose imports are part of the measured memory.

    python -m benchmarks.night_play STORE

The store is one that `benchmarks.night_sizes.put_night` has made. Prints a line of JSON.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import psutil
from distributed import LocalCluster
from prefect.client.orchestration import get_client

from flows.inspection import inspect_images
from flows.machinery.prefect_server import home_folder, prefect_server

STAGES = ("start", "planning", "scoring", "sealing", "reporting")
DAY = date(2026, 3, 2)
"""production day of the night"""


def play(place: str) -> dict[str, Any]:
    """Run the night: the fields of `benchmarks.night_sizes.Night` that it knows."""
    with (
        prefect_server(),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            preload=["tests.stub_scorer"],
        ) as cluster,
    ):
        server = psutil.Process(json.loads((home_folder() / "prefect-server.json").read_text())["pid"])
        workers = [psutil.Process(worker.pid) for worker in cluster.workers.values()]
        watched = ([psutil.Process()], [server, *server.children(recursive=True)], workers)
        before, memory_before = [_cpu(some) for some in watched], peak()
        began = time.time()
        run = inspect_images(place, DAY, dask_address=cluster.scheduler_address)
        ended = time.time()
        flow, serving, working = (_cpu(some) - of for some, of in zip(watched, before, strict=True))
        memory = peak()
        assert run.outcome == "completed", run
        with get_client(sync_client=True) as client:
            tasks = [one for skip in range(0, 1000, 200) for one in client.read_task_runs(limit=200, offset=skip)]
    return {
        "seconds": _stages(tasks, began, ended),
        "flow_cpu": flow,
        "server_cpu": serving,
        "worker_cpu": working,
        "memory": memory,
        "memory_before": memory_before,
        "tasks": max(Counter(one.flow_run_id for one in tasks).values()),
    }


def _stages(tasks: list[Any], began: float, ended: float) -> dict[str, float]:
    planned, scored, sealed = (
        [one for one in tasks if one.name.startswith(prefix)] for prefix in ("plan ", "score ", "seal-partition")
    )
    first_plan = min(one.start_time.timestamp() for one in planned)
    plan_end, score_end, seal_end = (
        max(one.end_time.timestamp() for one in some) for some in (planned, scored, sealed)
    )
    marks = (began, first_plan, plan_end, score_end, seal_end, ended)
    return {stage: after - before for stage, before, after in zip(STAGES, marks, marks[1:], strict=False)}


def _cpu(processes: Iterable[Any]) -> float:
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def peak() -> int:
    """Bytes. Of this program alone: ru_maxrss would begin at the size of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(play(sys.argv[1])) + "\n")
