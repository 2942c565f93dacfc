"""Every method on the same folders: what it finds, and what it costs.

    python -m benchmarks.methods FOLDER_OF_FOLDERS [--method NAME]... [--category C]... [--seed N]...
        [--set NAME=VALUE]...

Each method trains and calibrates on train/good as `rd-inspect train` does, by its default settings, with one
backbone. What test/ holds is split once, by whole parts, into a half that choices of settings may look at and a half
that reports; the figures are of the second. Each method, folder and seed has a process of its own, for its peak
memory, and half an hour of a processor; each leaves a record, and is not run again while that lies there. Seconds are
of training, calibration included; images/s of scoring, decoding left out, by --threads.
"""

import argparse
import hashlib
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
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prefect.logging import disable_run_logger

from benchmarks.record import Record, add_results_option
from flows.settings import load_settings
from flows.training import training_request
from rd_core.calibration.holdout import parts_of
from rd_core.calibration.threshold import REVIEW, triage
from rd_core.detectors.registry import METHODS
from rd_core.metrics.aupro import aupro
from rd_core.metrics.decisions import decisions_at
from rd_core.metrics.image_metrics import image_auroc, image_average_precision
from rd_core.metrics.masks import mask_on_grid
from rd_core.metrics.pixel_metrics import pixel_auroc
from rd_core.metrics.pixel_tables import PixelTables
from storage.filesystem import Store, open_store
from storage.layout import SETTINGS_KEY
from storage.models import models
from tasks.importing.folder_masks import marked_by, with_masks
from tasks.importing.image_folder import FolderImage, is_category_folder, read_folder
from tasks.importing.import_folder import ImportRequest, import_images, plan_import
from tasks.training.fit_model import fit_model
from tasks.worker.scorer import Scorer, warm_scorer

DAY = date(2026, 1, 2)
SECONDS = 1800
"""of a processor, that a method may take on a folder: unlike the clock's they bear a busy machine"""
BATCH = 16
"""images scored at once"""
SIZES = {"kolektorsdd": (640, 256)}
"""pixels, height and width; others 256 x 256"""
PART_PATTERNS = {
    # One tile is photographed under exposures 1 to 6 in turn: a new tile begins where the exposure does not rise.
    "magnetic_tile": r"exp(?P<view>\d+)_num_(?P<serial>\d+)",
    "kolektorsdd": r"(?P<part>kos\d+)_",
    # A board's template and its tested picture have one number.
    "pcb": r"(?P<part>\d+)\.",
}
"""by the folder's name, or what it begins with up to '_'; elsewhere each picture is a part"""


@dataclass(frozen=True)
class Judged:
    """The reporting half of a folder's test/, and what the trained model says of it."""

    images: Sequence[FolderImage]
    scores: NDArray[np.float64]
    maps: NDArray[np.float16]
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
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--play", type=Path, help=argparse.SUPPRESS)
    add_results_option(parser)
    given = parser.parse_args()
    if given.play:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, resource.RLIM_INFINITY))
        given.play.write_text(json.dumps(_measure(given.data, given.method[0], given.seed[0], given.set)))
        return
    folders = sorted(path for path in given.data.iterdir() if is_category_folder(path))
    for seed in given.seed or [0]:
        for folder in (one for one in folders if not given.category or one.name in given.category):
            for method in given.method or METHODS:
                name = "-".join((folder.name, method, *given.set, f"seed={seed}"))
                out = given.results / "methods" / f"{name}.json"
                if not out.exists():
                    _run(folder, method, seed, given.set, given.threads, out)


def _run(folder: Path, method: str, seed: int, settings: Sequence[str], threads: int, out: Path) -> None:
    """In a process of its own; a failure is told and leaves no file, so that it is tried again."""
    options = ["--method", method, "--seed", str(seed), *(word for one in settings for word in ("--set", one))]
    data = f"python -m benchmarks.methods {folder.parent.name} --category {folder.name}"
    record = Record.begin("methods", " ".join((data, *options)), threads=threads)
    about = {"category": folder.name, "method": method, "set": list(settings), "seed": seed}
    print(f"{folder.name}, {method}, seed {seed}: since {datetime.now(UTC):%H:%M}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        play = Path(place) / "figures.json"
        command = [sys.executable, "-m", "benchmarks.methods", str(folder), *options, "--play", str(play)]
        environment = {**os.environ, "RD_INSPECT_TORCH_THREADS": str(threads)}
        code = subprocess.run(command, env=environment, check=False).returncode
        if code == -signal.SIGXCPU:
            record.write(out, {}, {**about, "stopped": f"after {SECONDS} s of a processor"})
        elif code:
            print(f"{folder.name}, {method}: failed with {code}; nothing is kept", flush=True)
        else:
            record.write(out, json.loads(play.read_text()), about)


def _measure(folder: Path, method: str, seed: int, settings: Sequence[str]) -> dict[str, dict[str, float]]:
    """The rows of a record."""
    with tempfile.TemporaryDirectory() as place, disable_run_logger():
        store = open_store(place, create=True)
        _import(store, folder, method, seed, settings)
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
        judged = _judge(scorer, _reporting(folder))
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
        return {"test": whole, **by_kind}


def _import(store: Store, folder: Path, method: str, seed: int, settings: Sequence[str]) -> None:
    height, width = SIZES.get(folder.name, (256, 256))
    pattern = _pattern(folder.name)
    lines = ["[defaults]", f'method = "{method}"', f"image_size = [{height}, {width}]", f"seed = {seed}"]
    lines += [f"part_pattern = '{pattern}'"] if pattern else []
    lines += [f"[defaults.{method}]", *settings]
    store.write(SETTINGS_KEY, "\n".join(lines).encode())
    request = ImportRequest(folder, folder.name, DAY, DAY - timedelta(days=1))
    import_images(store, plan_import(store, request, read_folder(folder), datetime.now(UTC)))


def _pattern(name: str) -> str | None:
    return PART_PATTERNS.get(name, PART_PATTERNS.get(name.split("_", maxsplit=1)[0]))


def _reporting(folder: Path) -> list[FolderImage]:
    """The half that reports: by the parts' hashes, the same for every method and seed."""
    images, _ = with_masks(read_folder(folder))
    tested = [one for one in images if one.purpose == "evaluation" and one.word != "unsure"]
    parts = parts_of([one.path.name for one in tested], _pattern(folder.name))
    if _pattern(folder.name) is None:
        parts = [one.name for one in tested]  # good/ and defect/ may count from one both
    ranked = sorted(set(parts), key=lambda part: hashlib.sha256(part.encode()).digest())
    reporting = set(ranked[len(ranked) // 2 :])
    return [one for one, part in zip(tested, parts, strict=True) if part in reporting]


def _judge(scorer: Scorer, images: Sequence[FolderImage]) -> Judged:
    pictures = [scorer.image_format.prepare(one.path.read_bytes())[0] for one in images]
    scorer.model.score(np.stack(pictures[:BATCH]))  # memory and kernels
    wall, cpu = time.perf_counter(), time.process_time()
    found = [scorer.model.score(np.stack(pictures[i : i + BATCH])) for i in range(0, len(pictures), BATCH)]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    scores = np.concatenate([one.scores for one in found]).astype(np.float64)
    return Judged(images, scores, np.concatenate([one.as_float16() for one in found]), wall, cpu)


def _quality(scorer: Scorer, judged: Judged) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Figures of all images, and of each kind of defect beside all normals."""
    scores, anomalous = judged.scores, judged.is_anomalous
    decided = decisions_at(float(scorer.threshold), scores, anomalous)
    masks = [_mask(one.masks, judged.maps.shape[1:]) for one in judged.images]
    tables = PixelTables.of(judged.maps, masks, [bool(one) for one in anomalous])
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


def _mask(files: Sequence[Path], size: Sequence[int]) -> NDArray[np.bool_] | None:
    mask = marked_by(files)
    # An empty one does not say where the defect is.
    return mask_on_grid(mask, size[0], size[1]) if mask is not None and mask.any() else None


def _peak(*, restart: bool = False) -> float:
    """MiB that this process had at most, since it began or since the last restart."""
    status = Path("/proc/self/status").read_text()
    if restart:
        Path("/proc/self/clear_refs").write_text("5")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
