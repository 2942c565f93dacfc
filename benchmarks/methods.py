"""Every method on the same folders: what it finds, and what it costs.

    python -m benchmarks.methods FOLDER_OF_FOLDERS [--method NAME]... [--category C]... [--seed N]...
        [--set NAME=VALUE]... [--view NAME=VALUE]...

Each method trains and calibrates on train/good as `rd-inspect train` does, by its default settings, with one
backbone, at the image size that fits the images. What test/ holds is split once, by whole parts, into a half that
choices of settings may look at and a half that reports; the figures are of the second. Each method, folder and seed
has a process of its own, for its peak memory, and half an hour of a processor; each leaves a record, and is not run
again while that lies there. Seconds are of training, calibration included; images/s of scoring, decoding left out, by
--threads.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect.logging import disable_run_logger

from benchmarks.folders import halves_of_test, import_category
from benchmarks.record import Record, add_results_option
from flows.settings import load_settings
from flows.training_request import training_request
from rd_core.calibration.threshold import REVIEW, triage
from rd_core.detectors.registry import METHODS
from rd_core.maps.enlargement import enlarged
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.metrics.aupro import aupro
from rd_core.metrics.decisions import decisions_at
from rd_core.metrics.image_metrics import image_auroc, image_average_precision
from rd_core.metrics.pixel_metrics import pixel_auroc
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.pictures.image_view import ImageView
from rd_core.pictures.images import stacked_masks
from storage.filesystem import open_store
from storage.models import models
from tasks.importing.folder_masks import marked_by
from tasks.importing.image_folder import FolderImage, is_category_folder
from tasks.training.fit_model import fit_model
from tasks.worker.preprocessing import SeenPicture
from tasks.worker.scorer import Scorer, warm_scorer

SECONDS = 1800
"""of a processor, that a method may take on a folder: unlike the clock's they bear a busy machine"""
BATCH = 16
"""images scored at once"""


@dataclass(frozen=True)
class Run:
    """A method on a folder."""

    folder: Path
    method: str
    seed: int
    settings: Sequence[str] = ()
    """lines of the method's table"""
    view: Sequence[str] = ()
    """lines of the category's, such as tile=256; empty: the image size that fits its images"""

    @property
    def name(self) -> str:
        parts = (self.folder.name, self.method, *self.settings, *self.view, f"seed={self.seed}")
        return "-".join(parts).replace('"', "")


@dataclass(frozen=True)
class Judged:
    """The reporting half of a folder's test/, and what the trained model says of it."""

    images: Sequence[FolderImage]
    seen: Sequence[SeenPicture]
    scores: NDArray[np.float64]
    maps: NDArray[np.float16]
    """at the view's size"""
    seconds: float
    """of scoring"""
    cpu_seconds: float

    @property
    def is_anomalous(self) -> NDArray[np.bool_]:
        """One an image."""
        return np.array([one.word == "anomalous" for one in self.images])


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder whose folders have train/good and test/")
    parser.add_argument("--method", action="append", choices=list(METHODS), help="only this one; may be given again")
    parser.add_argument("--category", action="append", help="only this one; may be given again")
    parser.add_argument("--seed", action="append", type=int, help="of the training; may be given again; default 0")
    parser.add_argument("--set", action="append", default=[], help="of the method's settings, as TOML: nearest=5")
    parser.add_argument("--view", action="append", default=[], help="of the category, as TOML: image_size=256")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of a processor, at most; default %(default)s")
    parser.add_argument("--play", type=Path, help=argparse.SUPPRESS)
    add_results_option(parser)
    given = parser.parse_args()
    if given.play:
        resource.setrlimit(resource.RLIMIT_CPU, (given.seconds, resource.RLIM_INFINITY))
        figures, about = _measure(Run(given.data, given.method[0], given.seed[0], given.set, given.view))
        given.play.write_text(json.dumps({"figures": figures, "about": about}))
        return
    folders = sorted(path for path in given.data.iterdir() if is_category_folder(path))
    for seed in given.seed or [0]:
        for folder in (one for one in folders if not given.category or one.name in given.category):
            for method in given.method or METHODS:
                measure(Run(folder, method, seed, given.set, given.view), given.results, given.threads, given.seconds)


def measure(run: Run, results: Path, threads: int, seconds: int) -> None:
    """In a process of its own, unless its record lies there; a failure is told and leaves none."""
    kind = "views" if run.view else "methods"
    out = results / kind / f"{run.name}.json"
    if out.exists():
        return
    options = ["--method", run.method, "--seed", str(run.seed)]
    options += [word for one in run.settings for word in ("--set", one)]
    options += [word for one in run.view for word in ("--view", one)]
    data = f"python -m benchmarks.methods {run.folder.parent.name} --category {run.folder.name}"
    record = Record.begin(kind, " ".join((data, *options)), threads=threads)
    about = {"category": run.folder.name, "method": run.method, "set": list(run.settings), "seed": run.seed}
    about |= {"view": list(run.view)} if run.view else {}
    print(f"{run.name}: since {datetime.now(UTC):%H:%M}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        play = Path(place) / "figures.json"
        play_at = ["--play", str(play), "--seconds", str(seconds)]
        command = [sys.executable, "-m", "benchmarks.methods", str(run.folder), *options, *play_at]
        environment = {**os.environ, "RD_INSPECT_TORCH_THREADS": str(threads)}
        code = subprocess.run(command, env=environment, check=False).returncode
        if code == -signal.SIGXCPU:
            record.write(out, {}, {**about, "stopped": f"after {seconds} s of a processor"})
        elif code:
            print(f"{run.name}: failed with {code}; nothing is kept", flush=True)
        else:
            measured = json.loads(play.read_text())
            record.write(out, measured["figures"], about | measured["about"])


def _measure(run: Run) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """The rows of a record; the image size, and scores by what they are of."""
    folder = run.folder
    with tempfile.TemporaryDirectory() as place, disable_run_logger():
        store = open_store(place, create=True)
        import_category(store, folder, run.method, run.seed, run.settings, run.view)
        wall, cpu, before = time.perf_counter(), time.process_time(), _peak(restart=True)
        request = training_request(load_settings(store.uri), folder.name)
        fitted = fit_model.fn(store.uri, store.uri, request, run_id="benchmark", now=datetime.now(UTC), promote=True)
        trained = {
            "training s": time.perf_counter() - wall,
            "training processor s": time.process_time() - cpu,
            "training peak mib": _peak(restart=True),
            "memory before mib": before,
        }
        scorer = warm_scorer(store, folder.name, fitted.version)
        halves = halves_of_test(folder)
        judged = _judge(scorer, halves.reporting)
        quality, by_kind = _quality(scorer, judged)
        whole = {
            "normals trained on": fitted.train,
            "normals that calibrate": fitted.calibration,
            **quality,
            **trained,
            "images/s": len(judged.images) / judged.seconds,
            "images/processor s": len(judged.images) / judged.cpu_seconds,
            "scoring peak mib": _peak(),
            "weights mib": len(models.read_weights(store, folder.name, fitted.version)) / 2**20,
        }
        card = models.read_card(store, folder.name, fitted.version)
        scores = {
            "held out": _rounded(np.sort(card.calibration.scores)),
            **_scores_of(judged, "reporting"),
            **_scores_of(_judge(scorer, halves.choosing), "choosing"),
        }
        height, width = scorer.image_format.view.size
        return {"test": whole, **by_kind}, {"size": f"{height} x {width}", "scores": scores}


def _judge(scorer: Scorer, images: Sequence[FolderImage]) -> Judged:
    seen = [scorer.image_format.prepare(one.path.read_bytes()) for one in images]

    def found_in(some: Sequence[SeenPicture]) -> AnomalyMaps:
        return scorer.model.score(
            np.stack([one.pixels for one in some]), stacked_masks([one.counted for one in some])
        )

    found_in(seen[:BATCH])  # memory and kernels
    wall, cpu = time.perf_counter(), time.process_time()
    found = [found_in(seen[i : i + BATCH]) for i in range(0, len(seen), BATCH)]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    scores = np.concatenate([one.scores for one in found]).astype(np.float64)
    maps = enlarged(np.concatenate([one.as_float16() for one in found]), scorer.image_format.view.size)
    return Judged(images, seen, scores, maps, wall, cpu)


def _quality(scorer: Scorer, judged: Judged) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Figures of all images, and of each kind of defect beside all normals."""
    scores, anomalous = judged.scores, judged.is_anomalous
    decided = decisions_at(float(scorer.threshold), scores, anomalous)
    view = scorer.image_format.view
    masks = [mask_of(one.masks, view, seen) for one, seen in zip(judged.images, judged.seen, strict=True)]
    counted = [seen.counted for seen in judged.seen]
    tables = PixelTables.of(judged.maps, masks, [bool(one) for one in anomalous], counted)
    has_masks = any(mask is not None for mask in masks)
    kinds = sorted({one.kind for one in judged.images if one.kind})
    is_kind = {kind: np.array([one.kind == kind for one in judged.images]) for kind in kinds}
    by_kind = {
        f"kind {kind}": {"image auroc": image_auroc(scores[of | ~anomalous], anomalous[of | ~anomalous])}
        for kind, of in is_kind.items()
    }
    whole = {
        "good": int((~anomalous).sum()),
        "defective": int(anomalous.sum()),
        "image auroc": image_auroc(scores, anomalous),
        "average precision": image_average_precision(scores, anomalous),
        "recall": decided.recall.value,
        "false alarms": decided.false_alarm_rate.value,
        "undecided": float((triage(scores, *scorer.review_band) == REVIEW).mean()),
    }
    return whole | ({"pixel auroc": pixel_auroc(tables), "aupro": aupro(tables)} if has_masks else {}), by_kind


def _scores_of(judged: Judged, half: str) -> dict[str, list[float]]:
    """In the order of `halves_of_test`, so that scores of two methods are of the same images."""
    return {
        f"{half} good": _rounded(judged.scores[~judged.is_anomalous]),
        f"{half} defective": _rounded(judged.scores[judged.is_anomalous]),
    }


def _rounded(scores: NDArray[np.floating]) -> list[float]:
    return [float(f"{score:.6g}") for score in scores]


def mask_of(files: Sequence[Path], view: ImageView, seen: SeenPicture | None = None) -> NDArray[np.bool_] | None:
    """What the mask files mark, bool (H, W) at the view's size; None where they mark nothing that counts.

    seen: the image in this view; None: all of it is seen and counts."""
    mask = marked_by(files)
    if mask is None:
        return None
    if seen is None:
        on_view = view.mask_on_map(mask, view.size)
    else:
        on_view = view.mask_on_map(mask, view.size, seen.size, seen.offset)
    counted = on_view if seen is None or seen.counted is None else on_view & seen.counted
    return on_view if counted.any() else None


def _peak(*, restart: bool = False) -> float:
    """MiB that this process had at most, since it began or since the last restart."""
    status = Path("/proc/self/status").read_text()
    if restart:
        Path("/proc/self/clear_refs").write_text("5")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
