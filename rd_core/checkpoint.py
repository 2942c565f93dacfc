"""A model as bytes, complete in itself: its settings, and the teacher's weights too, so that scoring never looks for
them elsewhere (see `rd_core.tensor_file`)."""

import copy
import functools
from typing import Any

import torch
from torch import Tensor

from rd_core.config import COARSEST_STRIDE, ModelConfig
from rd_core.errors import CheckpointError, ConfigError
from rd_core.model import ReverseDistillation, build_model
from rd_core.normal_memory import ITEMS
from rd_core.tensor_file import CURE, header_of, pack, tensors_of

FORMAT = 7
OF_STRETCHED_MAPS = 6
"""the format of models that do not tell where in the map distances lie: stretched to the image's edges"""
OF_A_SMALL_RIDGE, SMALL_RIDGE = 5, 0.01
"""the format of models that do not tell by what ridge their cells are whitened, and that ridge"""
OF_MEMORIES = 4
"""the format of models whose map holds memories in place of discriminators"""
OF_ONE_COVARIANCE = 3
"""the format of models whose map holds coarse cells' Mahalanobis distance, with a setting and tensors named `coarse`:
the distance from a memory whose only item is the mean"""
OF_THE_STUDENT_ALONE = 2
"""the format of models from before that"""


def to_bytes(model: ReverseDistillation) -> bytes:
    """The model, not folded. The same model gives the same bytes."""
    return pack({"format": FORMAT, "model": model.config.to_dict()}, model.state_dict())


def from_bytes(data: bytes, device: torch.device | str = "cpu") -> ReverseDistillation:
    """The model that `to_bytes` wrote, in eval mode, on `device`.

    Raises CheckpointError, before any network is built, when the bytes are cut, changed, of another kind or
    of another format, and before any weight is loaded when a tensor is missing, unknown, of another shape or type,
    or not finite.
    """
    header = header_of(data)
    if header.get("format") not in range(OF_THE_STUDENT_ALONE, FORMAT + 1):
        raise CheckpointError(
            f"the weights have format {header.get('format')!r}, this program reads {OF_THE_STUDENT_ALONE} to "
            f"{FORMAT}; they could be misread. Use the program that wrote them, or train again."
        )
    tensors = tensors_of(data)
    try:
        settings = header["model"]
        if header["format"] != FORMAT:
            settings, tensors = _brought_up(header["format"], settings, tensors)
        config = ModelConfig.from_dict(settings)
        model = copy.deepcopy(_blank(config))
    except (ConfigError, KeyError, TypeError, MemoryError) as e:
        raise CheckpointError(f"the weights' settings make no model: {e}. No model was loaded. {CURE}") from e
    _check_tensors(model.state_dict(), tensors)
    model.load_state_dict(tensors, assign=True)
    return model.eval().to(memory_format=torch.channels_last).to(device)


def _brought_up(
    number: int, settings: dict[str, Any], tensors: dict[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings and tensors of an older format, as today's has them."""
    settings = settings | {"align_corners": True}
    if number == OF_STRETCHED_MAPS:
        return settings, tensors
    if number == OF_A_SMALL_RIDGE:
        return settings | {"whitening_ridge": SMALL_RIDGE}, tensors
    settings["discriminator_cells"] = ()
    if number == OF_MEMORIES or not settings.pop("coarse", False):
        return settings, tensors
    tensors = {name.replace("coarse.", "memories.0.", 1): tensor for name, tensor in tensors.items()}
    tensors["memories.0.items"] = torch.zeros(ITEMS, len(tensors["memories.0.mean"]))
    return settings | {"memory_cells": (COARSEST_STRIDE,)}, tensors


@functools.lru_cache(maxsize=16)  # ten times as long to build as to copy, and a plant has many models of few kinds
def _blank(config: ModelConfig) -> ReverseDistillation:
    """A model without memory and without random numbers: every tensor is to come from a file."""
    with torch.device("meta"):
        return build_model(config, pretrained=False)


def _check_tensors(wanted: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    faults = [f"{name} is missing" for name in wanted if name not in found]
    faults += [f"{name} is unknown" for name in found if name not in wanted]
    both = [(name, tensor, found[name]) for name, tensor in wanted.items() if name in found]
    faults += [
        f"{name} has shape {list(given.shape)} instead of {list(tensor.shape)}"
        for name, tensor, given in both
        if given.shape != tensor.shape
    ]
    faults += [
        f"{name} is {given.dtype} instead of {tensor.dtype}"
        for name, tensor, given in both
        if given.dtype != tensor.dtype
    ]
    faults += [f"{name} is not finite" for name, _, given in both if not torch.isfinite(given).all()]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise CheckpointError(
            f"the weights do not fit their own settings: {'; '.join(faults[:3])}{more}. No weight was loaded. {CURE}"
        )
