"""Maps at three strides, by one training for each folder and method: what they find, their bytes and their time.

    python -m benchmarks.map_strides FOLDER_OF_FOLDERS --category C --method NAME [--seed N] [--set NAME=VALUE]...

The detector is trained as in `benchmarks.methods`, once; then its map is assembled at each stride. AUPRO is of the
map enlarged to the image's size as the networks see it, beside that of the map's own grid. Both halves of test/ are
judged: the first chooses, the second reports. Times are of one image, the fastest of rounds.
"""

import argparse
import copy
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from prefect.logging import disable_run_logger

from benchmarks.folders import halves_of_test, import_category
from benchmarks.record import Record, add_results_option
from flows.settings import load_settings
from flows.training_request import training_request
from rd_core.detectors import checkpoint
from rd_core.detectors.feature_detector import FeatureDetector
from rd_core.maps.assembly import MapAssembly
from rd_core.maps.enlargement import enlarged
from rd_core.metrics.aupro import aupro
from rd_core.metrics.image_metrics import image_auroc
from rd_core.metrics.pixel_tables import PixelTables
from storage.filesystem import open_store
from storage.models import models
from storage.partitions import anomaly_maps
from tasks.importing.folder_masks import marked_by
from tasks.importing.image_folder import FolderImage
from tasks.training.fit_model import fit_model
from tasks.worker.preprocessing import ImageFormat

STRIDES = (1, 2, 4)
ROUNDS = 5
AT_ONCE = 32
"""maps written and read together"""


def main() -> None:
    """Train, judge and write one record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder whose folders have train/good and test/")
    parser.add_argument("--category", required=True)
    parser.add_argument("--method", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="of the method's settings, as TOML: nearest=5")
    add_results_option(parser)
    given = parser.parse_args()
    command = f"python -m benchmarks.map_strides data --category {given.category} --method {given.method}"
    record = Record.begin("map_strides", " ".join((command, *(f"--set {one}" for one in given.set))), threads=1)
    torch.set_num_threads(1)
    rows = measure(given.data / given.category, given.method, given.seed, given.set)
    about = {"category": given.category, "method": given.method, "seed": given.seed}
    record.write(given.results / "map_strides" / f"{given.category}-{given.method}.json", rows, about)


def measure(folder: Path, method: str, seed: int, settings: Sequence[str]) -> dict[str, dict[str, float]]:
    """The rows of a record, by stride."""
    with tempfile.TemporaryDirectory() as place, disable_run_logger():
        store = open_store(place, create=True)
        import_category(store, folder, method, seed, settings)
        request = training_request(load_settings(store.uri), folder.name)
        version = fit_model.fn(
            store.uri, store.uri, request, run_id="benchmark", now=datetime.now(UTC), promote=True
        ).version
        card = models.read_card(store, folder.name, version)
        detector = checkpoint.from_bytes(models.read_weights(store, folder.name, version)).ready()
        assert isinstance(detector, FeatureDetector)
        halves = halves_of_test(folder)
        image_format = ImageFormat.of(card.preprocessing)
        rows = {}
        for stride in STRIDES:
            other = at_stride(detector, stride)
            row = {"bytes a map": 0.0}
            for half, images in {"choosing": halves.choosing, "reporting": halves.reporting}.items():
                scores, maps = judged(other, image_format, images)
                row |= {f"{half} {name}": value for name, value in figures(images, scores, maps, request).items()}
            rows[f"stride {stride}"] = row | costs(other, maps, Path(place) / str(stride))
        return rows


def at_stride(detector: FeatureDetector[Any], stride: int) -> FeatureDetector[Any]:
    """A copy whose maps have this stride."""
    other = copy.deepcopy(detector)
    other.settings = replace(detector.settings, map_stride=stride)
    other.assembly = MapAssembly(
        *detector.image_size,
        detector.settings.smoothing_sigma,
        detector.strides,
        align_corners=detector.align_corners,
        map_stride=stride,
    )
    return other


def judged(
    detector: FeatureDetector[Any], image_format: ImageFormat, images: Sequence[FolderImage]
) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """Scores (n,) and maps (n, H / s, W / s)."""
    found = []
    for start in range(0, len(images), detector.settings.micro_batch):
        some = images[start : start + detector.settings.micro_batch]
        found.append(detector.score(np.stack([image_format.prepare(one.path.read_bytes())[0] for one in some])))
    return np.concatenate([one.scores for one in found]), np.concatenate([one.as_float16() for one in found])


def figures(
    images: Sequence[FolderImage], scores: NDArray[np.float32], maps: NDArray[np.float16], request: Any
) -> dict[str, float]:
    """Image AUROC, and AUPRO on the map's grid and on that of the image."""
    anomalous = np.array([one.word == "anomalous" for one in images])
    marked = [marked_by(one.masks) for one in images]
    size = request.settings.image_height, request.settings.image_width
    found = {"image auroc": image_auroc(scores.astype(np.float64), anomalous)}
    for name, shown in {"aupro own grid": maps, "aupro": enlarged(maps, size)}.items():
        grid = shown.shape[1], shown.shape[2]
        masks = [None if one is None or not one.any() else request.view.mask_on_map(one, grid) for one in marked]
        if any(mask is not None for mask in masks):
            found[name] = aupro(PixelTables.of(shown, masks, anomalous.tolist()))
    return found


def costs(detector: FeatureDetector[Any], maps: NDArray[np.float16], place: Path) -> dict[str, float]:
    """Bytes and milliseconds of a map."""
    store = open_store(str(place), create=True)
    some = np.ascontiguousarray(np.resize(maps, (AT_ONCE, *maps.shape[1:])))
    array = anomaly_maps.MapArray(AT_ONCE, maps.shape[1], maps.shape[2], AT_ONCE)
    key = f"maps/board/{date(2026, 1, 2)}/v.zarr"
    anomaly_maps.create_maps(store, key, array)
    shard = anomaly_maps.write_batch_maps(store, key, 0, some)
    batch, (height, width) = detector.settings.micro_batch, detector.image_size
    distances = tuple(torch.rand(batch, -(-height // s), -(-width // s)) for s in detector.strides)
    noise = np.random.default_rng(0).integers(0, 256, detector.settings.micro_batch_shape, dtype=np.uint8)
    return {
        "bytes a map": shard.size / AT_ONCE,
        "assemble ms": fastest(lambda: detector.assembly(distances)) / batch,
        "score ms": fastest(lambda: detector.score(noise)) / batch,
        "write ms": fastest(lambda: anomaly_maps.write_batch_maps(store, key, 0, some)) / AT_ONCE,
        "read ms": fastest(lambda: anomaly_maps.read_maps(store, key, range(AT_ONCE))) / AT_ONCE,
    }


def fastest(work: Callable[[], object]) -> float:
    """Milliseconds of this process, of the fastest round."""
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return 1000 * min(taken)


if __name__ == "__main__":
    main()
