"""A scorer whose maps are the pixels, preloaded into Dask workers.

An image has the same map in every process, so disturbed and undisturbed runs can be compared byte for byte.
"""

import numpy as np

from proofs.storm.plant import PIXEL_LEVEL, REVIEW_BAND, SIZE, STRENGTH, THRESHOLD
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.image_view import ImageView
from storage.filesystem import Store
from tasks.worker import scorer
from tasks.worker.preprocessing import ImageFormat


class _Brightness:
    """Replaces the networks: the map is the mean of the colours times the version's strength."""

    def __init__(self, strength: float) -> None:
        self.strength = np.float32(strength)

    def score(self, images: np.ndarray) -> AnomalyMaps:
        """uint8 (B, H, W, 3) -> maps float32 (B, H, W) in [0, 3 * strength]."""
        maps = images.astype(np.float32).mean(axis=3) / np.float32(85) * self.strength
        return AnomalyMaps(maps, maps.max(axis=(1, 2)), maps.mean(axis=(1, 2)))


class ContentScorer:
    """Replaces tasks.worker.scorer.Scorer."""

    image_format = ImageFormat(ImageView(SIZE, SIZE))
    map_size = (SIZE, SIZE)
    threshold = np.float32(THRESHOLD)
    preprocessing = "storm"
    review_band = REVIEW_BAND
    map_threshold = THRESHOLD
    pixel_threshold, defect_peak = PIXEL_LEVEL, REVIEW_BAND[0]

    def __init__(self, version: str) -> None:
        self.model = _Brightness(STRENGTH[version])

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """float32 [B] -> float64 [B]"""
        return 1 / (1 + scores.astype(np.float64))


def content_scorer(_store: Store, _category: str, version: str, _engine: str = "torch") -> ContentScorer:
    """Replaces tasks.worker.scorer.warm_scorer."""
    return ContentScorer(version)


def install() -> None:
    """Use this scorer in the tasks of this process."""
    vars(scorer)["warm_scorer"] = content_scorer
