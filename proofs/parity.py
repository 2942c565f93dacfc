"""Compare PaDiM and PatchCore with anomalib's modules, on the features of the same images: `make parity`.

    python -m proofs.parity [--teacher efficientnet_lite0]

Needs anomalib, see benchmarks/peers-requirements.txt. Both sides get the same features; a difference above 1e-4 of
the largest value is an error. Deviations of anomalib from the papers are reproduced or excluded here:

- PaDiM: its ridge is 0.01 + 0.00001. It inverts covariances in float32; it is compared in float64, and the error of
  float32 is recorded.
- PatchCore: its map upsamples by the nearest patch, ours bilinearly, so distances are compared, not maps. Its random
  projection is sparse, so both coresets are chosen from the same points.
- Maps: its blur reflects about the outermost pixels' centres, ours about their edges, so the margin is excluded.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from anomalib.models.components import KCenterGreedy
from anomalib.models.image.padim.torch_model import PadimModel
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from benchmarks.record import Record, add_results_option
from rd_core.detectors.detector import Normals
from rd_core.detectors.feature_detector import FeatureDetector, Features
from rd_core.detectors.patchcore.coreset import greedy_coreset
from rd_core.detectors.registry import settings_of
from rd_core.detectors.training import train

SIDE, NORMALS, AT_ONCE = 128, 40, 8
DIMENSIONS, RIDGE = 100, 0.01001
MARGIN = 32
"""pixels from the edge that the blur's border affects"""
TOLERANCE = 1e-4
LAYERS = ["layer1", "layer2", "layer3"]
"""anomalib's names of the features"""


def main() -> None:
    """Record the difference of every compared quantity."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="efficientnet_lite0")
    add_results_option(parser)
    arguments = parser.parse_args()
    record, teacher = Record.begin("parity"), arguments.teacher
    normals = _images(NORMALS, seed=0)
    queries = _images(AT_ONCE, seed=2)
    queries[:4, 40:60, 50:90] = np.random.default_rng(0).integers(0, 256, (4, 20, 40, 3), dtype=np.uint8)
    apart = dict([*_padim(teacher, normals, queries), *_patchcore(teacher, normals, queries)])
    record.write(arguments.results / "parity.json", {quantity: {"apart": value} for quantity, value in apart.items()})
    if beyond := [
        quantity
        for quantity, difference in apart.items()
        if not difference <= TOLERANCE and "float32" not in quantity
    ]:
        sys.exit(f"More than {TOLERANCE} apart: {', '.join(beyond)}.")


def _padim(teacher: str, normals: NDArray[np.uint8], queries: NDArray[np.uint8]) -> Iterator[tuple[str, float]]:
    ours = _fitted("padim", teacher, normals, dimensions=DIMENSIONS, ridge=RIDGE)
    asked = Features(ours.teacher_features(torch.from_numpy(queries)), ())
    seen = [ours.teacher_features(torch.from_numpy(some)) for some in np.split(normals, NORMALS // AT_ONCE)]
    (distances,) = ours.distances(asked)
    maps = ours.assembly((distances,))
    for kind in (torch.float64, torch.float32):
        with _numbers(kind):
            theirs = PadimModel("resnet18", LAYERS, pre_trained=False, n_features=DIMENSIONS)
            theirs.idx = ours.drawn
            embeddings = [theirs.generate_embedding(_named(some, kind)) for some in (*seen, asked.raw)]
            theirs.gaussian.fit(torch.cat(embeddings[:-1]))
            statistics = [theirs.gaussian.mean, theirs.gaussian.inv_covariance]
            distances_of_theirs = theirs.anomaly_map_generator.compute_distance(embeddings[-1], statistics)
            blurred = theirs.anomaly_map_generator(
                embedding=embeddings[-1], mean=statistics[0], inv_covariance=statistics[1], image_size=(SIDE, SIDE)
            )
        yield f"PaDiM: distances, anomalib in {kind}", _apart(distances, distances_of_theirs[:, 0])
        inner = slice(MARGIN, -MARGIN)
        yield (
            f"PaDiM: map within its margin, anomalib in {kind}",
            _apart(maps[:, inner, inner], blurred[:, 0, inner, inner]),
        )


def _patchcore(teacher: str, normals: NDArray[np.uint8], queries: NDArray[np.uint8]) -> Iterator[tuple[str, float]]:
    ours = _fitted("patchcore", teacher, normals, coreset_share=0.1, neighbours=9)
    raw = ours.teacher_features(torch.from_numpy(queries))
    features = Features(raw, raw)
    theirs = PatchcoreModel(LAYERS[1:], "resnet18", pre_trained=False)
    patches = theirs.reshape_embedding(
        theirs.generate_embedding({name: theirs.feature_pooler(stage) for name, stage in _named(raw).items()})
    )
    yield "PatchCore: patches", _apart(ours.patches(features).flatten(0, 1), patches)
    theirs.memory_bank = ours.memory + ours.centre
    nearest, places = theirs.nearest_neighbors(patches, 1)
    distances = ours.distances(features)
    yield "PatchCore: distances", _apart(distances[0].flatten(), nearest)
    shape = len(queries), -1
    scores = theirs.compute_anomaly_score(nearest.reshape(shape), places.reshape(shape), patches)
    yield "PatchCore: re-weighted scores", _apart(ours.image_scores(torch.empty(0), features, distances), scores)
    points = patches - patches.mean(dim=0)
    torch.manual_seed(0)
    start = int(torch.randint(high=len(points), size=(1,)))
    torch.manual_seed(0)
    chosen = KCenterGreedy(points[:, :, None], 0.1).select_coreset_idxs()  # so that it does not project them
    mine = greedy_coreset(points, len(chosen), start).tolist()
    yield "PatchCore: share of the coreset chosen otherwise", 1 - len(set(mine) & set(chosen)) / len(chosen)


def _fitted(name: str, teacher: str, normals: NDArray[np.uint8], **settings: Any) -> Any:
    shared = {"teacher": teacher, "image_height": SIDE, "image_width": SIDE, "map_stride": 1, "smoothing_sigma": 4.0}
    detector = train(name, settings_of(name, {**shared, **settings}), Normals(normals, normals[:2])).detector
    assert isinstance(detector, FeatureDetector)
    return detector


def _images(count: int, seed: int) -> NDArray[np.uint8]:
    """Clouds of three grains: uint8 (count, SIDE, SIDE, 3)."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(3, count, SIDE, SIDE, 3))
    clouds = sum(
        grain * gaussian_filter(layer, (0, grain, grain, 0)) for layer, grain in zip(noise, (1, 4, 16), strict=True)
    )
    return np.clip(128 + 60 * clouds, 0, 255).astype(np.uint8)


def _named(features: tuple[Tensor, ...], kind: torch.dtype = torch.float32) -> dict[str, Tensor]:
    return {name: stage.to(kind) for name, stage in zip(LAYERS, features, strict=True)}


def _apart(mine: Tensor, others: Tensor) -> float:
    """Largest difference relative to the largest value."""
    return float((mine.double() - others.double()).abs().max() / others.double().abs().max())


@contextmanager
def _numbers(kind: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


if __name__ == "__main__":
    main()
