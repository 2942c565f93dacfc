"""Training and evaluation of one network as in the paper. No Prefect task."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.detector import Detector, FitRun, Normals
from rd_core.detectors.registry import build
from rd_core.detectors.settings import MICRO_BATCH, DetectorSettings
from rd_core.detectors.training import train
from rd_core.features.backbone import build_teacher
from rd_core.features.cache import prefetched
from rd_core.metrics.aupro import aupro
from rd_core.metrics.image_metrics import image_auroc
from rd_core.metrics.paper_pro import paper_pro
from rd_core.metrics.pixel_metrics import pixel_auroc
from rd_core.metrics.pixel_tables import PixelTables
from tasks.paper.benchmark_folder import BenchmarkImages, DecodedImages, JudgedImage, defects

MONITORED = 8
"""training images on which the loss is monitored"""
NETWORKS = ("teacher", "standardisation", "bottleneck", "student")
"""the parts of Reverse Distillation that do not depend on the map stages"""


@dataclass(frozen=True)
class BenchmarkProgress:
    """The progress of one network."""

    stage: Literal["features", "distillation", "memory", "folds", "steps", "held out", "scoring"]
    """a fit's phase (see `rd_core.detectors.detector.FitProgress`), then the test images"""
    done: int
    """images or steps"""
    total: int
    loss: float | None
    """of the last training step"""


@dataclass(frozen=True)
class BenchmarkRequest:
    """The network to train, and the maps to evaluate."""

    images: BenchmarkImages
    models: tuple[DetectorSettings, ...]
    """several differ only in the map_stages of Reverse Distillation, so one training serves all"""
    teacher_weights: Path | None
    """a local file; None: the package, the cache or a download"""


@dataclass(frozen=True)
class Measurement:
    """Metrics of one model: shares in [0, 1], None if undefined."""

    model: DetectorSettings
    image_auroc: float | None
    pixel_auroc: float | None
    aupro: float | None
    """over all test images together, up to a false-positive rate of 0.3"""
    paper_pro: float | None
    """mean over the images with a mask, as the authors compute it"""
    masked_images: int
    steps: int | None
    """None: of a method without"""
    training_seconds: float
    """with the teacher's pass; of one training, whatever the maps"""
    images_per_second: float
    """networks, map and score, in micro-batches; without decoding"""
    model_bytes: int
    """of the weights needed for scoring"""


def benchmark_category(
    request: BenchmarkRequest, on_progress: Callable[[BenchmarkProgress], None]
) -> Iterator[Measurement]:
    """Train once, then evaluate each of the models' maps in order; each is reported when done.

    Raises TeacherUnavailable, TooFewNormals, TrainingDiverged, BrokenImage.
    """
    images = request.images.train
    # The papers train on all normals for a fixed time and keep the last weights, as these settings do. What a fit
    # calls early-stop images stops nothing then, so a few of the training images do to watch the loss on.
    fitted = train(
        request.models[0].method,
        request.models[0],
        Normals(DecodedImages(images), DecodedImages(images[:MONITORED])),
        FitRun(lambda at: on_progress(BenchmarkProgress(at.phase, at.done, at.total, at.loss))),
        teacher_weights=request.teacher_weights,
    )
    for settings in request.models:
        model = with_maps(fitted.detector, settings).ready()
        judged = _judge(model, request.images.test, on_progress)
        yield Measurement(
            model=settings,
            image_auroc=_known(image_auroc(judged.scores, [image.is_anomalous for image in request.images.test])),
            pixel_auroc=_known(pixel_auroc(judged.tables)),
            aupro=_known(aupro(judged.tables)),
            paper_pro=_known(float(np.mean(judged.pros)) if judged.pros else math.nan),
            masked_images=judged.tables.anomalous_images,
            steps=fitted.report.figures.get("steps"),
            training_seconds=fitted.report.seconds,
            images_per_second=len(judged.scores) / judged.seconds,
            model_bytes=sum(t.numel() * t.element_size() for t in model.state_dict().values()),
        )


def check_teacher(name: str, weights: Path | None) -> None:
    """Raises TeacherUnavailable now rather than after hours of work."""
    build_teacher(name, weights=weights)


def with_maps(model: Detector[Any], settings: DetectorSettings) -> Detector[Any]:
    """The same networks of Reverse Distillation with another map_stages; the map's own parts are rebuilt."""
    if settings == model.settings:
        return model
    other = build(settings.method, settings, pretrained=False)
    for network in NETWORKS:
        other.get_submodule(network).load_state_dict(model.get_submodule(network).state_dict())
    return other.to(model.device).eval()


@dataclass(frozen=True)
class _Judged:
    scores: NDArray[np.float32]
    tables: PixelTables
    """empty if no image has a mask"""
    pros: list[float]
    """of the images with a mask"""
    seconds: float
    """of scoring"""


def _judge(
    model: Detector[Any], test: tuple[JudgedImage, ...], on_progress: Callable[[BenchmarkProgress], None]
) -> _Judged:
    height, width = model.settings.image_height, model.settings.image_width
    # The first pass sets up kernels and memory, which is no part of the rate.
    model.score(np.zeros((1, height, width, 3), dtype=np.uint8))
    localised = any(image.masks for image in test)
    tables = PixelTables.empty()
    scores: list[NDArray[np.float32]] = []
    pros: list[float] = []
    seconds = 0.0
    pixels = prefetched(DecodedImages([image.path for image in test]), range(len(test)), model.image_size)
    for start in range(0, len(test), MICRO_BATCH):
        images = test[start : start + MICRO_BATCH]
        batch = np.stack([next(pixels) for _ in images])
        began = perf_counter()
        scores_of_batch = model.score(batch)
        seconds += perf_counter() - began
        scores.append(scores_of_batch.scores)
        if localised:
            masks = [defects(image, height, width) for image in images]
            tables += PixelTables.of(scores_of_batch.as_float16(), masks, [image.is_anomalous for image in images])
            pros += [
                paper_pro(m, mask) for m, mask in zip(scores_of_batch.maps, masks, strict=True) if mask is not None
            ]
        on_progress(BenchmarkProgress("scoring", start + len(images), len(test), None))
    return _Judged(np.concatenate(scores), tables, [pro for pro in pros if not math.isnan(pro)], seconds)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
