"""Rates of the engines on one core, taking turns, and how far apart their maps and decisions are.

    python -m benchmarks.engines [--teacher NAME ...] [--precision bfloat16] [--size 256] [--rounds 5]

A round scores one micro-batch by each engine in turn. Time is the process's own, so that other processes on the
machine cost less than they would on the clock. The models are untrained, which costs what a trained one costs;
decisions (accept, review, reject) are by torch's scores of drawn normals, on other normals and defects.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Record, Values, add_results_option
from benchmarks.throughput import untrained
from demo import woven_cloth
from rd_core.calibration.threshold import calibrate, triage
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.settings import MICRO_BATCH
from rd_core.engines.choice import engine_here
from rd_core.engines.engine import Engine, computed_by
from rd_core.settings import PRECISIONS
from tasks.worker.worker_process import prepare_worker_process

TEACHERS = ("efficientnet_lite0", "resnet18", "wide_resnet50_2")
NORMALS, JUDGED = 32, 32
ALPHA = 0.1


def main() -> None:
    """Measure and record, a row a teacher and engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", action="append", choices=TEACHERS, help="default: all three")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="bfloat16: torch alone")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    add_results_option(parser)
    arguments = parser.parse_args()
    record = Record.begin("engines", threads=1)
    prepare_worker_process()
    images = np.stack([_drawn(seed, arguments.size) for seed in range(NORMALS + JUDGED)])
    rows: dict[str, dict[str, Values]] = {}
    for teacher in arguments.teacher or TEACHERS:
        rows |= _rows(teacher, images, arguments)
    about = {"size": arguments.size, "precision": arguments.precision}
    name = "engines" if arguments.precision == "float32" else f"engines-{arguments.precision}"
    record.write(arguments.results / f"{name}.json", rows, about)


def _rows(teacher: str, images: NDArray[np.uint8], arguments: argparse.Namespace) -> dict[str, dict[str, Values]]:
    size, precision = arguments.size, arguments.precision
    config = ReverseDistillationSettings(teacher=teacher, image_height=size, image_width=size, precision=precision)
    model = untrained(config).ready()
    make: dict[str, Callable[[], Engine]] = {"torch": lambda: model}
    if precision == "float32":
        make["openvino"] = lambda: computed_by(engine_here("openvino"), model)
    engines, made = {}, {}
    for name, build in make.items():
        began = time.process_time()
        engines[name] = build()
        made[name] = time.process_time() - began
    spent = _in_turns(engines, images[:MICRO_BATCH], arguments.rounds)
    detections = {name: engine.score(images) for name, engine in engines.items()}
    theirs = detections["torch"]
    threshold = calibrate(theirs.scores[:NORMALS], ALPHA)
    decisions = {
        name: triage(one.scores[NORMALS:], threshold.low, threshold.high) for name, one in detections.items()
    }
    return {
        f"{teacher}, {name}": {
            "graph processor s": made[name],
            "ms an image": [1e3 * seconds / MICRO_BATCH for seconds in spent[name]],
            "times torch": [before / after for before, after in zip(spent["torch"], spent[name], strict=True)],
            "map apart": float(np.abs(detections[name].maps - theirs.maps).max() / theirs.maps.max()),
            "other decisions": int((decisions[name] != decisions["torch"]).sum()),
            "images decided": JUDGED,
        }
        for name in engines
    }


def _in_turns(engines: dict[str, Engine], images: NDArray[np.uint8], rounds: int) -> dict[str, list[float]]:
    spent: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(rounds + 1):
        for name, engine in engines.items():
            began = time.process_time()
            engine.score(images)
            if turn:  # the first is for memory and kernels
                spent[name].append(time.process_time() - began)
    return spent


def _drawn(seed: int, size: int) -> NDArray[np.uint8]:
    """A cloth; every second of those that are judged has a dark spot."""
    picture = woven_cloth.draw(np.random.default_rng(seed), size)
    if seed >= NORMALS and seed % 2:
        picture[size // 3 : size // 2, size // 3 : size // 2] *= 0.3
    return (picture * 255).astype(np.uint8)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    main()
