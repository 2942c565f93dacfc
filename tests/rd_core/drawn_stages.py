"""Features as a teacher of few channels gives them, drawn at random, each stage at a scale of its own."""

import torch
from torch import Tensor

CHANNELS = (3, 2, 4)
WIDTH = sum(CHANNELS)


def stages(seed: int, images: int = 6, height: int = 64, width: int = 96) -> tuple[Tensor, ...]:
    """(images, C_k, height/s, width/s) at s = 4, 8, 16."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([1.0, 30.0, 0.01])
    return tuple(
        5 + scale[k] * torch.randn(images, c, height // s, width // s, generator=generator)
        for k, (c, s) in enumerate(zip(CHANNELS, (4, 8, 16), strict=True))
    )
