"""Serialise a detector of any method to bytes, with its settings and the teacher's weights (see
`rd_core.files.tensor_file`)."""

import copy
import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rd_core.detectors.detector import Detector
from rd_core.detectors.registry import build, settings_of
from rd_core.detectors.settings import DetectorSettings
from rd_core.errors import CheckpointError, ConfigError
from rd_core.files.tensor_file import CURE, header_of, pack, tensors_of

FORMAT = 1


def to_bytes(detector: Detector[Any]) -> bytes:
    """Serialise the detector, not folded. The same detector gives the same bytes."""
    header = {"format": FORMAT, "method": detector.name, "settings": detector.settings.to_dict()}
    return pack(header, detector.state_dict())


def from_bytes(data: bytes, device: torch.device | str = "cpu") -> Detector[Any]:
    """Load the detector that `to_bytes` wrote, in eval mode, on `device`.

    Raises CheckpointError, before any network is built, for bytes that are truncated, changed, of another kind or
    format, and before any weight is loaded for a tensor that is missing, unknown, of another shape or type, or not
    finite.
    """
    header = header_of(data)
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"the weights have format {header.get('format')!r}, this program reads {FORMAT}; they could be misread. "
            "Use the program that wrote them, or train again."
        )
    tensors = tensors_of(data)
    try:
        detector = copy.deepcopy(blank(settings_of(header["method"], header["settings"])))
    except (ConfigError, KeyError, TypeError, MemoryError) as e:
        raise CheckpointError(f"the weights' settings are invalid: {e}. No model was loaded. {CURE}") from e
    _resize_buffers(detector, tensors)
    _check_tensors(detector.state_dict(), tensors)
    detector.load_state_dict(tensors, assign=True)
    return detector.eval().to(memory_format=torch.channels_last).to(device)


@functools.lru_cache(maxsize=16)  # ten times as long to build as to copy, and a plant has many models of few kinds
def blank(settings: DetectorSettings) -> Detector[Any]:
    """A detector on the meta device, without memory or random numbers; not to be changed."""
    with torch.device("meta"):
        return build(settings.method, settings, pretrained=False)


def _resize_buffers(detector: Detector[Any], tensors: Mapping[str, Tensor]) -> None:
    """Give buffers whose first dimension a fit decides the length they have in the file."""
    for name in detector.sized_by_fit:
        if name in tensors:
            place, _, own = name.rpartition(".")
            whole = detector.get_buffer(name)
            given = tensors[name].shape
            setattr(detector.get_submodule(place), own, whole.new_empty((*given[:1], *whole.shape[1:])))


def _check_tensors(wanted: dict[str, Tensor], loaded: dict[str, Tensor]) -> None:
    faults = [f"{name} is missing" for name in wanted if name not in loaded]
    faults += [f"{name} is unknown" for name in loaded if name not in wanted]
    both = [(name, tensor, loaded[name]) for name, tensor in wanted.items() if name in loaded]
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
