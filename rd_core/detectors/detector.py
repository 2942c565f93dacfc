"""A model at work: what scores images, by whichever engine."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from rd_core.detectors.reverse_distillation.model import ReverseDistillation
from rd_core.engines.choice import TORCH, engine_here, library_of
from rd_core.engines.cuda_graph import CudaGraph, graphed
from rd_core.errors import EngineUnavailable
from rd_core.maps.assembly import AnomalyMaps


class Detector(Protocol):
    """A model, computed by some engine."""

    def score(self, images: NDArray[np.uint8]) -> AnomalyMaps:
        """uint8 (B, H, W, 3) of the model's size -> maps (B, H, W), scores and feature distances (B,), float32."""


def detector(model: ReverseDistillation, engine: str) -> Detector:
    """`model`, ready for inference, computed by `engine`; torch on a GPU as one CUDA graph. OpenVINO takes as many
    threads as torch has.

    Raises EngineUnavailable if the engine is not here in that version, or does not compute what torch does.
    """
    if engine == TORCH:
        return graphed(model, CudaGraph()) if model.device.type == "cuda" else model
    here = engine_here(library_of(engine))
    if here != engine:
        raise EngineUnavailable(
            f"The plan is to be scored by {engine!r}, and this process has {here!r}: its scores would not be those "
            "of the plan's other batches, so nothing was scored. Install the same here: pip install "
            f"{engine.replace(' ', '==')}"
        )
    from rd_core.engines.openvino import OpenVinoDetector  # noqa: PLC0415  # OpenVINO is an optional extra

    return OpenVinoDetector(model, threads=torch.get_num_threads())
