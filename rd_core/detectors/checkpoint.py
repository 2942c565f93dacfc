"""A model as bytes, complete in itself: its settings, and the teacher's weights too, so that scoring never looks for
them elsewhere (see `rd_core.files.tensor_file`)."""

import copy
import functools

import torch
from torch import Tensor

from rd_core.detectors.reverse_distillation.model import ReverseDistillation, build_model
from rd_core.detectors.reverse_distillation.settings import ModelConfig
from rd_core.errors import CheckpointError, ConfigError
from rd_core.files.tensor_file import CURE, header_of, pack, tensors_of

FORMAT = 1


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
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"the weights have format {header.get('format')!r}, this program reads {FORMAT}; they could be misread. "
            "Use the program that wrote them, or train again."
        )
    tensors = tensors_of(data)
    try:
        config = ModelConfig.from_dict(header["model"])
        model = copy.deepcopy(_blank(config))
    except (ConfigError, KeyError, TypeError, MemoryError) as e:
        raise CheckpointError(f"the weights' settings make no model: {e}. No model was loaded. {CURE}") from e
    _check_tensors(model.state_dict(), tensors)
    model.load_state_dict(tensors, assign=True)
    return model.eval().to(memory_format=torch.channels_last).to(device)


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
