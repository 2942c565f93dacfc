"""The engine interface, and the engine for a detector."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from rd_core.detectors.detector import Detector
from rd_core.engines.choice import TORCH, engine_here, library_of
from rd_core.engines.cuda_graph import CudaGraph, graphed
from rd_core.errors import EngineUnavailable
from rd_core.maps.micro_batch import AnomalyMaps


class Engine(Protocol):
    """Scores images with a detector, by some library."""

    def score(self, images: NDArray[np.uint8], counted: NDArray[np.bool_] | None = None) -> AnomalyMaps:
        """See `rd_core.detectors.detector.Detector.score`."""


def computed_by(engine: str, detector: Detector, *, ignoring: bool = False) -> Engine:
    """The engine of `detector`, which is ready for inference; torch on a GPU becomes a CUDA graph where possible.

    ignoring: whether the engine is to be given ignored pixels; other graphs refuse them, since it costs some time.
    Raises EngineUnavailable if the engine is not installed in that version, does not reproduce torch, or cannot
    compute the method.
    """
    if engine == TORCH:
        on_gpu = detector.device.type == "cuda"
        return graphed(detector, CudaGraph(), ignoring=ignoring) if on_gpu and detector.exportable else detector
    here = engine_here(library_of(engine))
    if here != engine:
        raise EngineUnavailable(
            f"The plan's engine is {engine!r}, but this process has {here!r}: its scores would differ from the "
            "plan's other batches, so nothing was scored. Install the same here: pip install "
            f"{engine.replace(' ', '==')}"
        )
    from rd_core.engines.openvino import OpenVinoDetector  # noqa: PLC0415  # OpenVINO is an optional extra

    return OpenVinoDetector(detector, threads=torch.get_num_threads(), ignoring=ignoring)
