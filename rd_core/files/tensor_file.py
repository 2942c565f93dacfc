"""Tensors with a JSON header as safetensors bytes: no executable content, and damage is detected.

The header is the file's one metadata entry, "rd_inspect"; it includes the SHA-256 of all tensors.
"""

import hashlib
import json
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from rd_core.errors import CheckpointError

ENTRY = "rd_inspect"
CURE = "Take the version's weights from a copy, or train it again."


def pack(header: dict[str, Any], tensors: dict[str, Tensor]) -> bytes:
    """Serialise tensors and a header of JSON values, deterministically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    whole = {**header, "sha256": _digest(plain)}
    return save(plain, metadata={ENTRY: json.dumps(whole, sort_keys=True)})


def header_of(data: bytes) -> dict[str, Any]:
    """The header given to `pack`. safetensors: 8 bytes of length (little-endian), then that much JSON.

    Raises CheckpointError for truncated or foreign bytes.
    """
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
    return header


def tensors_of(data: bytes) -> dict[str, Tensor]:
    """The tensors given to `pack`. Raises CheckpointError for truncated or changed ones."""
    try:
        tensors = load(data)
    except SafetensorError as e:
        raise CheckpointError(f"the weights ({len(data)} bytes) are damaged: {e}. No model was loaded. {CURE}") from e
    if _digest(tensors) != header_of(data).get("sha256"):
        raise CheckpointError(
            f"the weights ({len(data)} bytes) are not those that were written: their SHA-256 differs. "
            f"No model was loaded. {CURE}"
        )
    return tensors


def _digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 (hex) over names, types, shapes and values, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        # As bytes, for NumPy knows fewer types than a foreign file may hold.
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
