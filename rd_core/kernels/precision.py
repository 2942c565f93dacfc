"""Device and number type of the networks: float32, or torch's autocast to bfloat16."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from rd_core.settings import Precision

_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Linux names of the CPU features for bfloat16 products, x86 and ARM"""


def default_device() -> torch.device:
    """The GPU if there is one, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def networks_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Context in which a model's networks compute. Cast their output to float32."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def is_quick(device: torch.device, cpu_information: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the device multiplies bfloat16 natively; elsewhere products go through float32 and are slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    lines = cpu_information.read_text().splitlines() if cpu_information.exists() else []
    named = (line.partition(":") for line in lines)
    return any(name.strip() in ("flags", "Features") and _FLAGS & set(flags.split()) for name, _, flags in named)
