"""Nights of 10^3 to 10^6 image records with a scorer that computes nothing: what the pipeline itself costs an image.

    python -m benchmarks.night_sizes [--most 1000000] [--folder FOLDER] [--out docs/night-sizes.svg]

Each night has a process, an embedded Prefect server, two Dask workers and a store of its own. Its images are hard
links to a few small PNGs, so that listing and reading are a file system's own. Seconds by stage are from the
server's own times of the task runs; processor seconds are the kernel's, of the flow's process (with Dask's scheduler
in it), of the server, and of the workers. Orchestration is the processor time of the first two: unlike wall time it
hardly grows with the load of a shared machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.night_figure import draw_costs
from storage.filesystem import open_store

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LINKS = 30_000
"""names a file may have here; ext4 ends at 65,000"""
STAGES = ("start", "planning", "scoring", "sealing", "reporting")


@dataclass(frozen=True)
class Night:
    """What one night took."""

    images: int
    seconds: dict[str, float]
    """wall time by STAGES"""
    flow_cpu: float
    """processor seconds of the flow's process and Dask's scheduler"""
    server_cpu: float
    """of the Prefect server, while the flow ran"""
    worker_cpu: float
    memory: int
    """bytes, the flow process's peak"""
    memory_before: int
    """bytes, its peak before the flow began: imports, mostly"""
    tasks: int
    """most task runs of one flow run"""
    load: float
    """of the machine in the last minute, at the end"""

    @property
    def orchestration(self) -> float:
        """processor milliseconds an image"""
        return (self.flow_cpu + self.server_cpu) * 1000 / self.images


def main() -> None:
    """Play the nights, print the table, write the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=SIZES[-1])
    parser.add_argument("--least", type=int, default=SIZES[0])
    parser.add_argument("--folder", help="where the stores go, each removed after its night; default a temporary one")
    parser.add_argument("--kept", default="build/night-sizes.jsonl", help="one line a night; sizes in it are kept")
    parser.add_argument("--out", default="docs/night-sizes.svg")
    parser.add_argument("--play", metavar="STORE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.play:
        sys.stdout.write(json.dumps(_play(arguments.play)) + "\n")
        return
    kept = Path(arguments.kept)
    kept.parent.mkdir(parents=True, exist_ok=True)
    nights = {night.images: night for night in _read(kept)}
    for images in SIZES:
        if arguments.least <= images <= arguments.most and images not in nights:
            nights[images] = _night(images, arguments.folder)
            with kept.open("a") as file:
                file.write(json.dumps(asdict(nights[images])) + "\n")
    ordered = [nights[images] for images in sorted(nights)]
    print(_table(ordered))
    Path(arguments.out).write_text(draw_costs([night.images for night in ordered], _lines(ordered)))


def _read(kept: Path) -> list[Night]:
    return [Night(**json.loads(line)) for line in kept.read_text().splitlines()] if kept.exists() else []


def _night(images: int, folder: str | None) -> Night:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        put_night(place, images)
        command = [sys.executable, "-m", "benchmarks.night_sizes", "--play", place]
        home = {"PREFECT_LOGGING_LEVEL": "WARNING"}
        with tempfile.TemporaryDirectory(dir=folder) as server:
            home["RD_INSPECT_HOME"] = server
            done = subprocess.run(command, env={**os.environ, **home}, stdout=subprocess.PIPE, text=True, check=True)
        return Night(images=images, load=os.getloadavg()[0], **json.loads(done.stdout.splitlines()[-1]))


def put_night(place: str, images: int) -> None:
    """A store with a model and a production day of so many images."""
    from tests.factories import DAY, png, put_model  # noqa: PLC0415  # torch, which the measured process loads itself

    put_model(open_store(place), "cloth")
    folder = Path(place) / "images" / "cloth" / str(DAY)
    folder.mkdir(parents=True)
    for number in range(images):
        if number % LINKS == 0:
            source = folder / f"{number:07}.png"
            source.write_bytes(png(number))
        else:
            os.link(source, folder / f"{number:07}.png")


def _play(place: str) -> dict[str, Any]:
    """Run the night of `put_night`: the fields of Night that it knows."""
    import psutil  # noqa: PLC0415  # what the flow imports is part of the measured memory, and only in this process
    from distributed import LocalCluster  # noqa: PLC0415
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    from flows.inspection import inspect_images  # noqa: PLC0415
    from flows.prefect_server import home_folder, prefect_server  # noqa: PLC0415
    from tests.factories import DAY  # noqa: PLC0415

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
        before, memory_before = [_cpu(some) for some in watched], _peak()
        began = time.time()
        run = inspect_images(place, DAY, dask_address=cluster.scheduler_address)
        ended = time.time()
        flow, serving, working = (_cpu(some) - of for some, of in zip(watched, before, strict=True))
        memory = _peak()
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
        "tasks": max(_counted(one.flow_run_id for one in tasks).values()),
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


def _peak() -> int:
    """Bytes. Of this program alone: ru_maxrss would begin at the size of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def _counted(values: Iterable[Any]) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return found


def _table(nights: list[Night]) -> str:
    stages = " | ".join(f"{stage}, s" for stage in STAGES)
    costs = "orchestration, ms an image | workers, ms an image | peak memory, MiB (before)"
    head = f"| images | {stages} | {costs} | tasks | load |"
    lines = [head, "|---" * (len(STAGES) + 6) + "|"]
    for night in nights:
        seconds = " | ".join(f"{night.seconds[stage]:.1f}" for stage in STAGES)
        memory = f"{night.memory >> 20} ({night.memory_before >> 20})"
        worker = night.worker_cpu * 1000 / night.images
        lines.append(
            f"| {night.images:,} | {seconds} | {night.orchestration:.2f} | {worker:.2f} | {memory} | {night.tasks} "
            f"| {night.load:.1f} |"
        )
    return "\n".join(lines)


def _lines(nights: list[Night]) -> dict[str, list[float]]:
    """Milliseconds an image, by what took them."""
    walls = {
        stage: [night.seconds[stage] * 1000 / night.images for night in nights]
        for stage in ("planning", "scoring", "sealing", "reporting")
    }
    return {"orchestration (processor)": [night.orchestration for night in nights], **walls}


if __name__ == "__main__":
    main()
