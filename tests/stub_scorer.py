"""A scorer that computes nothing, loaded into Dask workers before they work: what is left is the pipeline itself."""

import numpy as np

from storage.filesystem import Store
from tasks import score_batch
from tests.factories import SIZE


class _Found:
    def __init__(self, count: int) -> None:
        self.maps = np.ones((count, SIZE, SIZE), np.float32)
        self.scores = np.ones(count, np.float32)


class _Model:
    def score(self, images: np.ndarray) -> _Found:
        return _Found(len(images))


class StubScorer:
    """Stands for tasks.scorer.Scorer."""

    model = _Model()
    height = width = SIZE
    threshold = np.float32(2)
    preprocessing = "stub"

    def prepare(self, data: bytes) -> tuple[np.ndarray, tuple[int, int]]:
        return np.zeros((SIZE, SIZE, 3), np.uint8), (SIZE, SIZE)

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        return np.full(len(scores), 0.5)


def warm_stub(store: Store, category: str, version: str) -> StubScorer:
    return StubScorer()


score_batch.warm_scorer = warm_stub
