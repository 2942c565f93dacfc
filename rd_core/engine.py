"""Which library computes the networks: torch, or OpenVINO, which is faster on CPUs.

A plan keeps its engine with the library's version, "openvino 2026.4.1", so that its scores are those of one library.
torch is plain "torch".
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from rd_core.anomaly_map import AnomalyMaps
from rd_core.errors import EngineUnavailable
from rd_core.model import ReverseDistillation

TORCH, OPENVINO = "torch", "openvino"


class Detector(Protocol):
    """What scores images, by whichever engine."""

    def score(self, images: NDArray[np.uint8]) -> AnomalyMaps:
        """uint8 (B, H, W, 3) of the model's size -> maps (B, H, W), scores and feature distances (B,), float32."""


def library_of(engine: str) -> str:
    """'openvino 2026.4.1' -> 'openvino'."""
    return engine.partition(" ")[0]


def engine_here(library: str) -> str:
    """The engine that a plan made here is scored by. Raises EngineUnavailable if its library is not installed."""
    return TORCH if library == TORCH else f"{OPENVINO} {_installed()}"


def detector(model: ReverseDistillation, engine: str) -> Detector:
    """`model`, ready for inference, computed by `engine`; OpenVINO takes as many threads as torch has.

    Raises EngineUnavailable if the engine is not here in that version, or does not compute what torch does.
    """
    if engine == TORCH:
        return model
    here = engine_here(library_of(engine))
    if here != engine:
        raise EngineUnavailable(
            f"The plan is to be scored by {engine!r}, and this process has {here!r}: its scores would not be those "
            "of the plan's other batches, so nothing was scored. Install the same here: pip install "
            f"{engine.replace(' ', '==')}"
        )
    from rd_core.openvino_detector import OpenVinoDetector  # noqa: PLC0415  # an extra that may not be installed

    return OpenVinoDetector(model, threads=torch.get_num_threads())


def _installed() -> str:
    try:
        return version(OPENVINO)
    except PackageNotFoundError:
        raise EngineUnavailable(
            "The engine is to be 'openvino', and OpenVINO is not installed where scoring runs, so nothing was "
            "scored. Install it on every worker: pip install 'rd-inspect[openvino]'. Or set engine = 'torch'."
        ) from None
