"""The state of a training between two steps, as bytes, from which another process can resume it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rd_core.errors import CheckpointError
from rd_core.files.tensor_file import header_of, pack, tensors_of
from rd_core.settings import Record

FORMAT = 1
APART = 120.0
"""least seconds between two states, which may exceed a gigabyte"""


@dataclass(frozen=True)
class Resumption:
    """The state to resume a training from, and where it keeps new ones."""

    state: bytes | None
    """the last one that an interrupted training gave to `keep`; None: start at the first step"""
    keep: Callable[[bytes], None]
    """called between steps; an exception ends the training"""
    apart: float = APART
    """least seconds between two states"""


@dataclass(frozen=True)
class TrainingState:
    """Everything that a descent changes."""

    settings: dict[str, Any]
    """JSON values that identify the training"""
    progress: dict[str, Any]
    """JSON values: steps, validations, random numbers"""
    tensors: dict[str, Tensor]
    """weights, best weights, the optimiser's moments"""

    def to_bytes(self) -> bytes:
        """See `rd_core.files.tensor_file`."""
        return pack({"training": self.settings, "progress": self.progress}, self.tensors)

    @classmethod
    def from_bytes(cls, data: bytes, settings: dict[str, Any]) -> "TrainingState":
        """Load the state of a training with these settings. Raises CheckpointError for another's, and for damaged
        bytes."""
        header = header_of(data)
        if header.get("training") != settings:
            raise CheckpointError(
                "the state belongs to a training with other settings or images, so it was not used. Remove it, or "
                "train from the first step."
            )
        return cls(settings, header["progress"], tensors_of(data))


def settings_of(method: str, settings: Record, train: int, early_stop: int) -> dict[str, Any]:
    """JSON values that two trainings must share to exchange states; they include the numbers of images, not the
    images."""
    images = {"train": train, "early_stop": early_stop}
    return {"format": FORMAT, "method": method, "settings": settings.to_dict(), "images": images}


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's moments and step counts, by number of the weight."""
    state = optimiser.state_dict()["state"]
    return {f"optimiser.{number}.{name}": tensor for number, kept in state.items() for name, tensor in kept.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restore the `optimiser_tensors`, each moment in its weight's memory layout, on which fused steps rely."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, number, entry = name.split(".", 2)
        if kind == "optimiser":
            weight = weights[int(number)]
            laid_out = torch.empty_like(weight).copy_(tensor) if tensor.shape == weight.shape else tensor.clone()
            state.setdefault(int(number), {})[entry] = laid_out
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
