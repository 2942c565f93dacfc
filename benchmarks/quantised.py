"""A model in int8 by NNCF's post-training quantisation: an experiment, no engine of the product.

NNCF is no dependency: pip install nncf
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rd_core.anomaly_map import AnomalyMaps
from rd_core.model import MICRO_BATCH, ReverseDistillation, in_micro_batches
from rd_core.openvino_detector import compiled, graph_of


class QuantisedDetector:
    """Convolutions in int8, with ranges that were measured on training normals."""

    def __init__(self, model: ReverseDistillation, normals: NDArray[np.uint8], threads: int) -> None:
        """`normals`: uint8 (N, H, W, 3); whole micro-batches of them are used."""
        import nncf  # noqa: PLC0415  # only who asks for int8 needs it

        batches = list(_micro_batches(normals))
        graph = nncf.quantize(graph_of(model), nncf.Dataset(batches), subset_size=len(batches))
        self._config = model.config
        self._request: Any = compiled(graph, threads).create_infer_request()

    def score(self, images: NDArray[np.uint8]) -> AnomalyMaps:
        """As `ReverseDistillation.score`."""
        return in_micro_batches(images, self._config, self._detect)

    def _detect(self, images: NDArray[np.uint8]) -> AnomalyMaps:
        found = self._request.infer({0: images})
        return AnomalyMaps(*(np.array(found[index]) for index in range(3)))


def _micro_batches(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(images) - MICRO_BATCH + 1, MICRO_BATCH):
        yield images[start : start + MICRO_BATCH]
