"""A new model's scores of its held-out normals, the basis of its thresholds."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.calibration.pixel_threshold import PixelThreshold, calibrate_pixels
from rd_core.calibration.threshold import Threshold, calibrate
from rd_core.engines.engine import Engine
from rd_core.pictures.image_statistics import image_statistics
from tasks.training.normal_images import PixelSource
from tasks.worker.picture_reader import micro_batches

FEWEST_NEW = 10
"""fewest new normals for a threshold of their own"""


@dataclass(frozen=True)
class Calibration:
    """Scores, statistics and thresholds of n held-out normals, in one order."""

    scores: np.ndarray
    """float32 [n], raw"""
    statistics: dict[str, np.ndarray]
    """by name, float [n]: the image statistics that score rows have"""
    threshold: Threshold
    pixel_threshold: PixelThreshold


def calibrate_old_and_new(model: Engine, pixels: PixelSource, new: Sequence[int], alpha: float) -> Calibration:
    """The stricter of two calibrations: on all held-out normals, and on the new ones alone (their positions).

    After a change of light, a threshold from all keeps its promise only on the average of old and new; this one keeps
    it for each (conformal by groups, Vovk et al. 2003).
    """
    everything = calibrate_model(model, pixels, alpha)
    if not FEWEST_NEW <= len(new) < len(pixels):
        return everything
    lately = calibrate_model(model, pixels.of(new), alpha)
    return max((everything, lately), key=lambda calibration: calibration.threshold.value)


def calibrate_model(model: Engine, pixels: PixelSource, alpha: float) -> Calibration:
    """Score the held-out normals as in a night, in bounded chunks. Raises TooFewNormals."""
    scores: list[np.ndarray] = []
    distances: list[np.ndarray] = []
    statistics: list[dict[str, float]] = []

    def maps() -> Iterator[NDArray[np.float16]]:
        for batch in micro_batches(pixels.__getitem__, range(len(pixels))):
            scored = model.score(np.stack(batch))
            scores.append(scored.scores)
            distances.append(scored.feature_distances)
            statistics.extend(asdict(image_statistics(picture)) for picture in batch)
            yield from scored.as_float16()

    pixel_threshold = calibrate_pixels(maps())
    by_name = {name: np.array([row[name] for row in statistics]) for name in statistics[0]}
    joined = np.concatenate(scores)
    return Calibration(
        joined, {**by_name, "feature_distance": np.concatenate(distances)}, calibrate(joined, alpha), pixel_threshold
    )
