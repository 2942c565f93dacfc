"""What an engine, or half the bits, changes on real images: maps, scores, decisions, and the AUROC.

    python -m benchmarks.engine_decisions STORE [--category NAME ...] [--engine NAME ...] [--images 300]

STORE is one that benchmarks.real_images has made: trained champions and a labelled test night. Decisions (accept,
review, reject) are by the model's own review band, which was calibrated with torch in float32. "multiplied out" is
torch with all multiplications of its convolutions. What computes in fewer bits is judged twice: by that band, and by
one calibrated anew on the same held-out normals, as a model of that precision would have it. The weights are the same
in all rows. Int8 (needs NNCF) is quantised on training normals.
"""

import argparse
import functools
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.multiplied_out import multiplied_out
from benchmarks.quantised import QuantisedDetector
from benchmarks.real_images import DAY
from rd_core.calibration.threshold import calibrate, triage
from rd_core.detectors import checkpoint
from rd_core.detectors.detector import Detector, detector
from rd_core.detectors.reverse_distillation.model import ReverseDistillation, build_model, prepare_for_inference
from rd_core.engines.choice import engine_here
from storage.labels import labels
from storage.models import models
from storage.pictures.images import list_images
from storage.stores.filesystem import Store, open_store
from tasks.worker.scorer import Scorer, model_for_scoring, warm_scorer
from tasks.worker.worker_process import prepare_worker_process

EXACT, COARSE = ("multiplied out", "openvino"), ("bfloat16", "int8")
CHUNK = 64
"""images in memory at once"""


def main() -> None:
    """Print a line a category and engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", help="folder that benchmarks.real_images wrote to")
    parser.add_argument("--category", action="append", help="default: each that has a champion")
    parser.add_argument("--engine", action="append", choices=EXACT + COARSE, help="default: all but int8")
    parser.add_argument("--images", type=int, default=300, help="training normals that ranges are measured on")
    arguments = parser.parse_args()
    prepare_worker_process()
    store = open_store(arguments.store, read_only=True)
    print("| category | engine | threshold | largest difference of a map | flips | AUROC |")
    print("|---|---|---|---|---|---|")
    for category in arguments.category or models.list_model_categories(store):
        _compare(store, category, arguments)


def _compare(store: Store, category: str, arguments: argparse.Namespace) -> None:
    champion = models.read_champion(store, category)
    assert champion is not None  # benchmarks.real_images promotes one
    card = models.read_card(store, category, champion.version)
    scorer = warm_scorer(store, category, champion.version)
    weights = models.read_weights(store, category, champion.version)
    model = model_for_scoring(weights)
    names = arguments.engine or (*EXACT, "bfloat16")
    normals = functools.partial(_pixels, store, scorer, card["data"]["train"][: arguments.images])
    engines = {name: _computed_by(name, weights, model, normals) for name in names}
    known = {row["image_key"]: row["label"] for row in labels.read_labels(store, category).to_pylist()}
    keys = [image.key for image in list_images(store, category, DAY)]
    is_defect = np.array([known[key] == "anomalous" for key in keys])
    found = _scored(store, scorer, keys, {"torch": model, **engines})
    band, torchs = scorer.review_band, found["torch"][0]
    _print(category, "torch", "its own", found["torch"], np.zeros(len(keys), bool), is_defect)
    for name in engines:
        flips = triage(found[name][0], *band) != triage(torchs, *band)
        _print(category, name, "torch's", found[name], flips, is_defect)
    held_out = _pixels(store, scorer, card["data"]["calibration"])
    for name in (name for name in names if name in COARSE):
        own = calibrate(engines[name].score(held_out).scores, card["threshold"]["alpha"])
        flips = triage(found[name][0], own.low, own.high) != triage(torchs, *band)
        _print(category, name, "its own", found[name], flips, is_defect)


def _computed_by(
    name: str, weights: bytes, model: ReverseDistillation, normals: Callable[[], NDArray[np.uint8]]
) -> Detector:
    if name == "multiplied out":
        return multiplied_out(checkpoint.from_bytes(weights))
    if name == "openvino":
        return detector(model, engine_here("openvino"))
    if name == "bfloat16":
        return _in_bfloat16(weights)
    return QuantisedDetector(model, normals(), threads=1)


def _in_bfloat16(weights: bytes) -> Detector:
    trained = checkpoint.from_bytes(weights)
    model = build_model(replace(trained.config, precision="bfloat16"), pretrained=False)
    model.load_state_dict(trained.state_dict())
    return prepare_for_inference(model)


def _scored(
    store: Store, scorer: Scorer, keys: list[str], engines: dict[str, Detector]
) -> dict[str, tuple[NDArray[np.float32], float]]:
    """By engine: scores (n,), and the largest difference of a map from torch's, of that map's largest value."""
    scores: dict[str, list[NDArray[np.float32]]] = {name: [] for name in engines}
    largest = dict.fromkeys(engines, 0.0)
    for start in range(0, len(keys), CHUNK):
        pixels = _pixels(store, scorer, keys[start : start + CHUNK])
        maps = {}
        for name, engine in engines.items():
            found = engine.score(pixels)
            scores[name].append(found.scores)
            maps[name] = found.maps
            apart = np.abs(found.maps - maps["torch"]).max(axis=(1, 2)) / maps["torch"].max(axis=(1, 2))
            largest[name] = max(largest[name], float(apart.max()))
    return {name: (np.concatenate(scores[name]), largest[name]) for name in engines}


def _pixels(store: Store, scorer: Scorer, keys: list[str]) -> NDArray[np.uint8]:
    return np.stack([scorer.prepare(store.read(key))[0] for key in keys])


def _print(category: str, engine: str, threshold: str, found: Any, flips: NDArray[np.bool_], is_defect: Any) -> None:
    scores, largest = found
    auroc = roc_auc_score(is_defect, scores)
    changed = f"{int(flips.sum())} of {len(flips)}"
    print(f"| {category} | {engine} | {threshold} | {largest:.1e} | {changed} | {auroc:.4f} |", flush=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    main()
