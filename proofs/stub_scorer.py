"""A scorer that computes nothing, loaded into Dask workers before they work: what is left is the pipeline itself."""

import os
import time
from typing import Any

import numpy as np

from rd_core.maps.micro_batch import AnomalyMaps
from storage.filesystem import Store
from tasks.worker import scorer
from tasks.worker.preprocessing import ImageFormat

SIZE = 64
"""pixels a side, of its maps"""
WAIT = "STUB_SCORER_SECONDS"
"""environment variable: seconds an image that a worker waits, as long as a core would compute"""


class _Model:
    seconds = 0.0
    """that an image takes, of no processor"""

    def score(self, images: np.ndarray) -> AnomalyMaps:
        time.sleep(self.seconds * len(images))
        ones = np.ones(len(images), np.float32)
        return AnomalyMaps(np.ones((len(images), SIZE, SIZE), np.float32), ones, ones)


class _AnyBytes(ImageFormat):
    """Takes whatever lies there for a black picture."""

    def prepare(self, data: bytes) -> tuple[np.ndarray, tuple[int, int]]:
        return np.zeros((SIZE, SIZE, 3), np.uint8), (SIZE, SIZE)


class StubScorer:
    """Stands for tasks.worker.scorer.Scorer."""

    model = _Model()
    image_format = _AnyBytes(SIZE, SIZE)
    map_size = (SIZE, SIZE)
    threshold = np.float32(2)
    preprocessing = "stub"
    review_band = (1.5, 2.5)
    pixel_threshold = map_threshold = 2.0
    defect_peak = review_band[0]

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """float64 [B], all the same."""
        return np.full(len(scores), 0.5)


def warm_stub(store: Store, category: str, version: str, engine: str = "torch") -> Any:
    """Stands for tasks.worker.scorer.warm_scorer."""
    return StubScorer()


def dask_setup(_: object) -> None:
    """Dask calls this in each worker that has this module as a preload."""
    vars(scorer)["warm_scorer"] = warm_stub
    StubScorer.model.seconds = float(os.environ.get(WAIT, "0"))
