"""A model as bytes, complete in itself, in safetensors: tensors and a header of JSON, nothing that could run.

The header's one entry, "rd_inspect", holds the format, the model's settings and the SHA-256 of all tensors.
Teacher weights are inside, so that scoring never looks for them elsewhere.
"""

import copy
import functools
import hashlib
import json
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from rd_core.config import ModelConfig
from rd_core.errors import CheckpointError, ConfigError
from rd_core.model import ReverseDistillation, build_model

FORMAT = 2
ENTRY = "rd_inspect"
CURE = "Take the version's weights from a copy, or train it again."


def to_bytes(model: ReverseDistillation) -> bytes:
    """The model, not folded, as safetensors. The same model gives the same bytes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    header = {"format": FORMAT, "model": model.config.to_dict(), "sha256": _digest(tensors)}
    return save(tensors, metadata={ENTRY: json.dumps(header, sort_keys=True)})


def from_bytes(data: bytes, device: torch.device | str = "cpu") -> ReverseDistillation:
    """The model that `to_bytes` wrote, in eval mode, on `device`.

    Raises CheckpointError, before any network is built, when the bytes are cut, changed, of another kind or
    of another format, and before any weight is loaded when a tensor is missing, unknown, of another shape or type,
    or not finite.
    """
    header = _header(data)
    try:
        tensors = load(data)
    except SafetensorError as e:
        raise CheckpointError(f"the weights ({len(data)} bytes) are damaged: {e}. No model was loaded. {CURE}") from e
    if _digest(tensors) != header.get("sha256"):
        raise CheckpointError(
            f"the weights ({len(data)} bytes) are not those that were written: their SHA-256 differs. "
            f"No model was loaded. {CURE}"
        )
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


def _header(data: bytes) -> dict[str, Any]:
    """The entry of ours; safetensors: 8 bytes of length (little-endian), then that much JSON."""
    length = int.from_bytes(data[:8], "little")
    try:
        if len(data) < 8 or length > len(data) - 8:
            raise ValueError("its header is cut off or was never there")
        header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][ENTRY])
        if not isinstance(header, dict):
            raise ValueError("its settings are not a table")
    except (ValueError, KeyError, TypeError, RecursionError) as e:  # nested too deeply to be ours
        raise CheckpointError(
            f"these {len(data)} bytes are not a model of this program: {type(e).__name__}: {e}. "
            f"Nothing was read from them. {CURE}"
        ) from e
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"the weights have format {header.get('format')!r}, this program reads {FORMAT}; they could be "
            "misread. Use the program that wrote them, or train again."
        )
    return header


def _digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 (hex) over names, types, shapes and values, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        # As bytes, for NumPy knows fewer types than a foreign file may hold.
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


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
