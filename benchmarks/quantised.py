"""A model in int8 by NNCF's post-training quantisation: an experiment, no engine of the product.

NNCF is no dependency: pip install nncf
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.reverse_distillation.model import ReverseDistillation
from rd_core.engines.openvino import GraphDetector, graph_of


class QuantisedDetector(GraphDetector):
    """Convolutions in int8, with ranges that were measured on training normals."""

    def __init__(self, model: ReverseDistillation, normals: NDArray[np.uint8], threads: int) -> None:
        """`normals`: uint8 (N, H, W, 3); whole micro-batches of them are used."""
        import nncf  # noqa: PLC0415  # no dependency of the project: only int8 needs NNCF

        batches = list(_micro_batches(normals, model.config.micro_batch))
        graph = nncf.quantize(graph_of(model), nncf.Dataset(batches), subset_size=len(batches))
        super().__init__(graph, model.config, threads)


def _micro_batches(images: NDArray[np.uint8], size: int) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(images) - size + 1, size):
        yield images[start : start + size]
