"""The pixels of a batch that count, which lie outside ignored regions, and the positions of coarser grids that do.

A position counts if at least half of its pixels do, since its value stands for all of them. This module alone decides
it. Features of other positions are zero from the teacher on, so they add nothing to any sum and reach no neighbour.
"""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


class CountedPixels:
    """Counted pixels and positions of B images."""

    def __init__(self, pixels: Tensor) -> None:
        """pixels: bool (B, H, W), False in ignored regions."""
        self.pixels = pixels
        self._grids = {1: pixels}

    def shares(self, stride: int) -> Tensor:
        """Shares of counted pixels, float32 (B, ceil(H / stride), ceil(W / stride)), of positions of `stride` x
        `stride` pixels."""
        return F.avg_pool2d(self.pixels.float()[:, None], stride, ceil_mode=True)[:, 0]

    @classmethod
    def of(cls, pixels: NDArray[np.bool_] | None) -> Self | None:
        """None if all pixels count."""
        return None if pixels is None else cls(torch.from_numpy(pixels))

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        pixels = self.pixels.to(device)
        return self if pixels is self.pixels else type(self)(pixels)

    def on_grid(self, stride: int) -> Tensor:
        """The counted positions, bool as `shares`."""
        if stride not in self._grids:
            self._grids[stride] = self.shares(stride) >= 0.5
        return self._grids[stride]

    def inverse_shares(self, stride: int) -> Tensor:
        """Positions of an image over its counted ones, float32 (B,): a mean of values that are zero at ignored
        positions, times this, is the mean over the counted ones. Exactly 1 if all count."""
        grid = self.on_grid(stride).flatten(1)
        return grid.shape[1] / grid.sum(dim=1).clamp_min(1).float()


def zeroed(values: Tensor, counted: CountedPixels | None, stride: int) -> Tensor:
    """Values (B, h, w) or (B, C, h, w) on the grid of `stride`, zero at positions that do not count. None: all do."""
    if counted is None:
        return values
    ignored = ~counted.on_grid(stride)
    # In place on a copy, which keeps the order of the values in memory, and so that of later sums.
    return values.clone().masked_fill_(ignored if values.ndim == 3 else ignored[:, None], 0)


def image_means(values: Tensor, counted: CountedPixels | None, stride: int) -> Tensor:
    """Means (B, C) of (B, C, h, w), zero at ignored positions, over the counted ones; 0 where none counts."""
    means = values.mean(dim=(2, 3))
    return means if counted is None else means * counted.inverse_shares(stride)[:, None]
