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
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from benchmarks.night_figure import draw_costs
from benchmarks.night_play import DAY, STAGES
from storage.stores.filesystem import open_store
from tests.factories import png, put_model

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LINKS = 30_000
"""names a file may have here; ext4 ends at 65,000"""


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
    arguments = parser.parse_args()
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
        command = [sys.executable, "-m", "benchmarks.night_play", place]
        home = {"PREFECT_LOGGING_LEVEL": "WARNING"}
        with tempfile.TemporaryDirectory(dir=folder) as server:
            home["RD_INSPECT_HOME"] = server
            done = subprocess.run(command, env={**os.environ, **home}, stdout=subprocess.PIPE, text=True, check=True)
        return Night(images=images, load=os.getloadavg()[0], **json.loads(done.stdout.splitlines()[-1]))


def put_night(place: str, images: int) -> None:
    """A store with a model and a production day of so many images."""
    put_model(open_store(place), "cloth")
    put_links(place, images, DAY)


def put_links(place: str, images: int, day: date) -> None:
    """So many images of one day: hard links to a few small PNGs."""
    folder = Path(place) / "images" / "cloth" / str(day)
    folder.mkdir(parents=True)
    for number in range(images):
        if number % LINKS == 0:
            source = folder / f"{number:07}.png"
            source.write_bytes(png(number))
        else:
            os.link(source, folder / f"{number:07}.png")


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
