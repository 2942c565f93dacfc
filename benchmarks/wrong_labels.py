"""Trainings on normals of which some are defects: what is set aside, and what becomes of the threshold.

    python -m benchmarks.wrong_labels FOLDER_OF_FOLDERS --category C... [--method NAME]... [--share S]...

Of each folder's normals a share is replaced by defective images of the choosing half of test/, drawn by a fixed seed;
the reporting half judges. Each training leaves a record, and is not run again while that lies there.
"""

import argparse
import tempfile
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np
from prefect.logging import disable_run_logger

from benchmarks.folders import halves_of_test, import_category
from benchmarks.pages import DEFAULT
from benchmarks.record import Record, add_results_option
from flows.settings import load_settings
from flows.training_request import training_request
from rd_core.detectors.registry import METHODS
from rd_core.metrics.decisions import decisions_at
from rd_core.metrics.image_metrics import image_auroc
from storage.filesystem import open_store
from storage.models import models
from tasks.importing.image_folder import FolderImage
from tasks.training.fit_model import fit_model
from tasks.worker.scorer import Scorer, warm_scorer

SHARES = (0.0, 0.02, 0.05, 0.1)
PLANTED = "planted-"
"""what the names of defects among the normals begin with"""


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder whose folders have train/good and test/")
    parser.add_argument("--category", action="append", required=True, help="a folder's name; may be given again")
    parser.add_argument("--method", action="append", choices=list(METHODS), help="default the default method")
    parser.add_argument(
        "--share", action="append", type=float, help=f"of defects among the normals; default {SHARES}"
    )
    add_results_option(parser)
    given = parser.parse_args()
    for category, method, share in product(given.category, given.method or [DEFAULT], given.share or SHARES):
        out = given.results / "wrong_labels" / f"{category}-{method}-{share:g}.json"
        if not out.exists():
            words = f"{given.data.name} --category {category} --method {method} --share {share:g}"
            record = Record.begin("wrong_labels", f"python -m benchmarks.wrong_labels {words}")
            figures = _measure(given.data / category, method, share)
            record.write(out, {"test": figures}, {"category": category, "method": method, "share": share})


def _measure(folder: Path, method: str, share: float) -> dict[str, float]:
    halves = halves_of_test(folder)
    with tempfile.TemporaryDirectory() as place, disable_run_logger():
        mixed = _with_defects(folder, Path(place) / folder.name, halves.choosing, share)
        store = open_store(str(Path(place) / "store"), create=True)
        import_category(store, mixed, method, 0)
        request = training_request(load_settings(store.uri), folder.name)
        fitted = fit_model.fn(store.uri, store.uri, request, run_id="benchmark", now=datetime.now(UTC), promote=True)
        card = models.read_card(store, folder.name, fitted.version)
        scorer = warm_scorer(store, folder.name, fitted.version)
        scores = _scores(scorer, halves.reporting)
        anomalous = np.array([image.word == "anomalous" for image in halves.reporting])
        decided = decisions_at(float(scorer.threshold), scores, anomalous)
        used, aside = ([PLANTED in key for key in keys] for keys in (card.images.used, card.images.set_aside))
        return {
            "normals": len(used),
            "defects among them": sum(used),
            "defects set aside": sum(aside),
            "normals set aside": len(aside) - sum(aside),
            "image auroc": image_auroc(scores, anomalous),
            "recall": decided.recall.value,
            "false alarms": decided.false_alarm_rate.value,
            "training s": fitted.seconds,
        }


def _with_defects(folder: Path, mixed: Path, defects: list[FolderImage], share: float) -> Path:
    """A folder of links to the same files, a share of whose normals are defects."""
    normals = sorted((folder / "train" / "good").iterdir())
    random = np.random.default_rng(0)
    known = [image.path for image in defects if image.word == "anomalous"]
    planted = [known[i] for i in random.permutation(len(known))[: round(share * len(normals))]]
    kept = [normals[i] for i in random.permutation(len(normals))[: len(normals) - len(planted)]]
    (mixed / "train" / "good").mkdir(parents=True)
    for path in kept:
        (mixed / "train" / "good" / path.name).symlink_to(path.resolve())
    for path in planted:
        (mixed / "train" / "good" / f"{PLANTED}{path.name}").symlink_to(path.resolve())
    (mixed / "test").symlink_to((folder / "test").resolve())
    return mixed


def _scores(scorer: Scorer, images: list[FolderImage]) -> np.ndarray:
    pictures = [scorer.image_format.prepare(image.path.read_bytes())[0] for image in images]
    parts = [scorer.model.score(np.stack(pictures[i : i + 16])).scores for i in range(0, len(pictures), 16)]
    return np.concatenate(parts).astype(np.float64)


if __name__ == "__main__":
    main()
