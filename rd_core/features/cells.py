"""Teacher features of all stages, averaged over square cells of an image."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rd_core.features.backbone import STRIDES


def cell_means(features: tuple[Tensor, ...], side: int) -> Tensor:
    """Means (B, ceil(H / side), ceil(W / side), sum of C_k) over cells of `side` pixels, a multiple of 16, of the
    teacher's maps (B, C_k, H/s, W/s) at s = 4, 8, 16."""
    cells = [F.avg_pool2d(f, side // stride, ceil_mode=True) for f, stride in zip(features, STRIDES, strict=True)]
    return torch.cat(cells, dim=1).permute(0, 2, 3, 1)


@dataclass
class CellMoments:
    """Sums over the cells of all images, in float64."""

    side: int
    """of a cell, in pixels"""
    count: int = 0
    total: Tensor | None = None
    """(C,)"""
    products: Tensor | None = None
    """(C, C)"""

    def add(self, features: tuple[Tensor, ...]) -> None:
        """Add the teacher's raw maps (B, C_k, H/s, W/s) of more images."""
        cells = cell_means(features, self.side).flatten(0, 2).double()
        total, products = cells.sum(dim=0).cpu(), (cells.T @ cells).cpu()
        self.count += len(cells)
        self.total = total if self.total is None else self.total + total
        self.products = products if self.products is None else self.products + products

    def result(self) -> tuple[Tensor, Tensor]:
        """(mean (C,), covariance (C, C)), float64."""
        assert self.total is not None  # a training set has images
        assert self.products is not None
        mean = self.total / self.count
        return mean, self.products / self.count - mean.outer(mean)
