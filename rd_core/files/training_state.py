"""A training between two steps, as bytes: what another process needs to go on as if nothing had happened."""

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
"""seconds between two states, at least: that of the largest networks is more than a gigabyte"""


@dataclass(frozen=True)
class Resumption:
    """Where a training goes on from, and where it keeps states of its own."""

    state: bytes | None
    """what `keep` was given last by a training that was interrupted; None: begin with the first step"""
    keep: Callable[[bytes], None]
    """called between steps; what it raises ends the training"""
    apart: float = APART
    """seconds between two states, at least"""


@dataclass(frozen=True)
class TrainingState:
    """All that a descent changes."""

    settings: dict[str, Any]
    """JSON values: whose training this is"""
    progress: dict[str, Any]
    """JSON values: steps, looks, random numbers"""
    tensors: dict[str, Tensor]
    """weights, best weights, the optimiser's moments"""

    def to_bytes(self) -> bytes:
        """See `rd_core.files.tensor_file`."""
        return pack({"training": self.settings, "progress": self.progress}, self.tensors)

    @classmethod
    def from_bytes(cls, data: bytes, settings: dict[str, Any]) -> "TrainingState":
        """The state of a training of these settings. Raises CheckpointError for another's, and for damaged bytes."""
        header = header_of(data)
        if header.get("training") != settings:
            raise CheckpointError(
                "the state is of a training of other settings or images, so nothing was taken from it: the result "
                "would be neither's. Remove it, or train from the first step."
            )
        return cls(settings, header["progress"], tensors_of(data))


def settings_of(method: str, settings: Record, train: int, early_stop: int) -> dict[str, Any]:
    """What two trainings must share for one to go on with the other's state, as JSON values; the counts of images
    among them, but not the images."""
    images = {"train": train, "early_stop": early_stop}
    return {"format": FORMAT, "method": method, "settings": settings.to_dict(), "images": images}


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Its moments and step counts, by the number of the weight they belong to."""
    state = optimiser.state_dict()["state"]
    return {f"optimiser.{number}.{name}": tensor for number, kept in state.items() for name, tensor in kept.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give back what `optimiser_tensors` found, each moment in its weight's memory layout: fused steps rely on it."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, number, what = name.split(".", 2)
        if kind == "optimiser":
            weight = weights[int(number)]
            laid_out = torch.empty_like(weight).copy_(tensor) if tensor.shape == weight.shape else tensor.clone()
            state.setdefault(int(number), {})[what] = laid_out
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
