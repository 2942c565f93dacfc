"""A scorer that computes nothing, preloaded into Dask workers to measure the pipeline alone."""

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.image_view import ImageView
from storage.filesystem import Store
from tasks.worker import scorer
from tasks.worker.picture_reader import LoadedPicture, stacked
from tasks.worker.preprocessing import ImageFormat, SeenPicture

SIZE = 64
"""pixels a side, of its maps"""
WAIT = "STUB_SCORER_SECONDS"
"""environment variable: seconds that a worker sleeps for each image in place of computing"""


class _Model:
    seconds = 0.0
    """wall time of an image"""

    def score(self, images: np.ndarray) -> AnomalyMaps:
        time.sleep(self.seconds * len(images))
        ones = np.ones(len(images), np.float32)
        return AnomalyMaps(np.ones((len(images), SIZE, SIZE), np.float32), ones, ones)


class _AnyBytes(ImageFormat):
    """Reads any bytes as a black image."""

    def prepare(self, data: bytes) -> SeenPicture:
        return SeenPicture(np.zeros((SIZE, SIZE, 3), np.uint8), (SIZE, SIZE), None, None)


class StubScorer:
    """Replaces tasks.worker.scorer.Scorer."""

    model = _Model()
    image_format = _AnyBytes(ImageView(SIZE, SIZE))
    map_size = (SIZE, SIZE)
    threshold = np.float32(2)
    preprocessing = "stub"
    review_band = (1.5, 2.5)
    pixel_threshold = map_threshold = 2.0
    defect_peak = review_band[0]

    def score(self, pictures: Sequence[LoadedPicture]) -> AnomalyMaps:
        """Ones."""
        return self.model.score(stacked(pictures))

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """float64 [B], all equal."""
        return np.full(len(scores), 0.5)


def warm_stub(store: Store, category: str, version: str, engine: str = "torch") -> Any:
    """Replaces tasks.worker.scorer.warm_scorer."""
    return StubScorer()


def dask_setup(_: object) -> None:
    """Called by Dask in each worker that preloads this module."""
    vars(scorer)["warm_scorer"] = warm_stub
    StubScorer.model.seconds = float(os.environ.get(WAIT, "0"))
