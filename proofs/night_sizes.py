"""Cost of the pipeline itself an image, on nights of 10^3 to 10^6 images with a scorer that computes nothing.

    python -m proofs.night_sizes [--least 1000] [--most 1000000] [--workers 2] [--wait 0] [--folder FOLDER]

Each night has its own process, embedded Prefect server, Dask workers and store. Its images are hard links to a few
small PNGs, so listing and reading cost what the file system costs. Seconds by stage come from the server's task run
times; processor seconds are the kernel's, of the flow's process (with Dask's scheduler), of the server, and of the
workers. Orchestration is the processor time of the first two, which hardly depends on a shared machine's load. With
`--wait` a worker sleeps this many seconds an image, so that two cores can show sixteen workers.

Exit code 1 if a night lacks a row, the flow's process exceeds 1 GiB, or a flow run has too many tasks.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from distributed import LocalCluster
from PIL import Image
from prefect.client.orchestration import get_client

from benchmarks.record import Record, Values, add_results_option
from flows.inspection import TASKS_PER_FLOW_RUN, inspect_images
from flows.prefect_server import home_folder, prefect_server
from proofs.model_cards import publish_made_up
from storage.analysis.queries import run_query
from storage.filesystem import Store, open_store
from storage.models import models
from tasks.worker.preprocessing import PREPROCESSING_VERSION

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LINKS = 30_000
"""links to one file; ext4 allows 65,000"""
MOST_MEMORY = 1 << 30
"""bytes of the flow's process"""
MOST_TASKS = TASKS_PER_FLOW_RUN + 50
"""of a flow run: batches, planning, model pins and seals"""
STAGES = ("start", "planning", "scoring", "sealing", "reporting")
SIZE, WAIT = 64, "STUB_SCORER_SECONDS"
"""of proofs.stub_scorer, not imported because torch would count as memory"""
CATEGORY, DAY = "cloth", date(2026, 3, 2)


@dataclass(frozen=True)
class Night:
    """Cost of one night."""

    images: int
    rows: int
    """sealed"""
    seconds: dict[str, float]
    """wall time by STAGES"""
    flow_cpu: float
    """processor seconds of the flow's process and Dask's scheduler"""
    server_cpu: float
    """of the Prefect server, while the flow ran"""
    worker_cpu: float
    memory: int
    """bytes, peak of the flow's process"""
    memory_before: int
    """bytes, its peak before the flow began, mostly imports"""
    tasks: int
    """most task runs of one flow run"""
    load: float
    """of the machine in the last minute"""

    @property
    def orchestration(self) -> float:
        """Processor milliseconds an image."""
        return (self.flow_cpu + self.server_cpu) * 1000 / self.images

    @property
    def holds(self) -> bool:
        """Whether the night is complete and within its limits."""
        return self.rows == self.images and self.memory < MOST_MEMORY and self.tasks < MOST_TASKS


def main() -> int:
    """Run the nights and record them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--least", type=int, default=SIZES[0])
    parser.add_argument("--most", type=int, default=SIZES[-1])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--wait", type=float, default=0.0, help="seconds an image, of no core")
    parser.add_argument("--folder", help="where the stores go, each removed after its night; default a temporary one")
    parser.add_argument("--play", help=argparse.SUPPRESS)
    add_results_option(parser)
    given = parser.parse_args()
    if given.play:
        print(json.dumps(asdict(_play(given.play, given.workers))))
        return 0
    record, nights = Record.begin("night_sizes"), []
    for images in SIZES:
        if given.least <= images <= given.most:
            nights.append(_night(images, given.workers, given.wait, given.folder))
            print(nights[-1], flush=True)
    about = {"workers": given.workers, "wait": given.wait}
    record.write(
        given.results / "night_sizes.json", {f"{night.images:,}": _figures(night) for night in nights}, about
    )
    return int(not all(night.holds for night in nights))


def _night(images: int, workers: int, wait: float, folder: str | None) -> Night:
    """Run a night in a new process, so that its imports are part of the measured memory."""
    with tempfile.TemporaryDirectory(dir=folder) as place, tempfile.TemporaryDirectory(dir=folder) as home:
        put_model(open_store(place))
        put_links(place, images)
        command = [sys.executable, "-m", "proofs.night_sizes", "--play", place, "--workers", str(workers)]
        environment = {"PREFECT_LOGGING_LEVEL": "WARNING", "RD_INSPECT_HOME": home, WAIT: str(wait)}
        done = subprocess.run(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
        )
        return Night(**json.loads(done.stdout.splitlines()[-1]))


def put_model(store: Store) -> None:
    """Publish a champion that is never loaded: the scorer is a stub."""
    preprocessing = {"version": PREPROCESSING_VERSION}
    publish_made_up(store, CATEGORY, side=SIZE, preprocessing=preprocessing)
    models.promote(store, CATEGORY, "v1", by="proof", now=datetime.now(UTC))


def put_links(place: str, images: int) -> None:
    """Create the day's images as hard links to a few small PNGs."""
    folder = Path(place) / "images" / CATEGORY / str(DAY)
    folder.mkdir(parents=True)
    for number in range(images):
        if number % LINKS == 0:
            source = folder / f"{number:07}.png"
            source.write_bytes(_png(number))
        else:
            os.link(source, folder / f"{number:07}.png")


def _png(seed: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def _play(place: str, workers: int) -> Night:
    with (
        prefect_server(),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            preload=["proofs.stub_scorer"],
        ) as cluster,
    ):
        server = psutil.Process(json.loads((home_folder() / "prefect-server.json").read_text())["pid"])
        of_workers = [psutil.Process(worker.pid) for worker in cluster.workers.values()]
        watched = ([psutil.Process()], [server, *server.children(recursive=True)], of_workers)
        before, memory_before = [_cpu(some) for some in watched], _peak()
        began = time.time()
        run = inspect_images(place, DAY, dask_address=cluster.scheduler_address)
        ended = time.time()
        flow, serving, working = (_cpu(some) - of for some, of in zip(watched, before, strict=True))
        memory = _peak()
        assert run.outcome == "completed", run
        with get_client(sync_client=True) as client:
            tasks = [task for skip in range(0, 1000, 200) for task in client.read_task_runs(limit=200, offset=skip)]
    rows = run_query(open_store(place), "SELECT count(*) AS n FROM latest")["n"].to_pylist()[0]
    return Night(
        images=run.categories[0].images, rows=rows, seconds=_stages(tasks, began, ended),
        flow_cpu=flow, server_cpu=serving, worker_cpu=working, memory=memory, memory_before=memory_before,
        tasks=max(Counter(task.flow_run_id for task in tasks).values()), load=os.getloadavg()[0],
    )  # fmt: skip


def _stages(tasks: list[Any], began: float, ended: float) -> dict[str, float]:
    planned, scored, sealed = (
        [task for task in tasks if task.name.startswith(prefix)] for prefix in ("plan ", "score ", "seal-partition")
    )
    first_plan = min(task.start_time.timestamp() for task in planned)
    plan_end, score_end, seal_end = (
        max(task.end_time.timestamp() for task in some) for some in (planned, scored, sealed)
    )
    marks = (began, first_plan, plan_end, score_end, seal_end, ended)
    return {stage: after - before for stage, before, after in zip(STAGES, marks, marks[1:], strict=False)}


def _cpu(processes: Iterable[Any]) -> float:
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def _peak() -> int:
    """Bytes, of this program alone: ru_maxrss would start at the parent's size."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def _figures(night: Night) -> dict[str, Values]:
    return {
        "images": night.images,
        "images missing": night.images - night.rows,
        **{f"{stage} s": night.seconds[stage] for stage in STAGES},
        "orchestration processor ms an image": night.orchestration,
        "workers processor ms an image": night.worker_cpu * 1000 / night.images,
        "peak mib": night.memory / 2**20,
        "peak before mib": night.memory_before / 2**20,
        "tasks of a flow run": night.tasks,
        "load": night.load,
    }


if __name__ == "__main__":
    sys.exit(main())
