"""How far the teacher's features, averaged over cells, lie from the nearest cell that is remembered of the normals.

A part of the map of models whose weights have the formats 3 and 4. `rd_core.cell_discriminator` took its place, so
memories score and are no longer fitted.
"""

import torch
from torch import Tensor, nn

from rd_core.cells import cell_means

ITEMS = 512
"""cells that a memory holds"""


class NormalMemory(nn.Module):
    """Weight times a cell's distance from the nearest remembered one."""

    mean: Tensor
    whitening: Tensor
    items: Tensor
    weight: Tensor

    def __init__(self, channels: tuple[int, ...], side: int) -> None:
        super().__init__()
        self.side = side
        width = sum(channels)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("whitening", torch.eye(width))
        # With every item at 0, the mean, the distance is Mahalanobis'.
        self.register_buffer("items", torch.zeros(ITEMS, width))
        self.register_buffer("weight", torch.zeros(()))

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """The teacher's raw maps (B, C_k, H/s, W/s) -> (B, H/side, W/side), from 0, per root of channels."""
        white = (cell_means(features, self.side) - self.mean) @ self.whitening
        batch, height, width, channels = white.shape
        # |x - i|^2 = |x|^2 - 2 (x.i - |i|^2 / 2): one product with an offset, and nothing else of cells times items.
        offset = self.items.square().sum(dim=1) / -2
        nearest = torch.addmm(offset, white.flatten(0, 2), self.items.T).amax(dim=1).view(batch, height, width)
        return self.weight * ((white.square().sum(dim=3) - 2 * nearest) / channels).clamp_min(0).sqrt()
