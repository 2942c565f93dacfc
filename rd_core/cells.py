"""Cells of an image: the teacher's features of all stages, averaged over the squares of a grid."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rd_core.grid import Grid
from rd_core.teacher import STRIDES


def cell_means(features: tuple[Tensor, ...], grid: Grid) -> Tensor:
    """The teacher's maps (B, C_k, H/s, W/s) at s = 4, 8, 16 -> their means over the squares of a grid whose side and
    stride are multiples of 16: (B, rows, columns, sum of C_k). What an image has of its last cells is averaged."""
    cells = [
        F.avg_pool2d(
            f,
            [min(grid.side // stride, length) for length in f.shape[2:]],
            grid.stride // stride,
            ceil_mode=True,
        )
        for f, stride in zip(features, STRIDES, strict=True)
    ]
    return torch.cat(cells, dim=1).permute(0, 2, 3, 1)


@dataclass
class CellMoments:
    """Sums over the cells of all images, in float64."""

    grid: Grid
    """of the cells"""
    count: int = 0
    total: Tensor | None = None
    """(C,)"""
    products: Tensor | None = None
    """(C, C)"""

    def add(self, features: tuple[Tensor, ...]) -> None:
        """The teacher's raw maps (B, C_k, H/s, W/s) of a few more images."""
        cells = cell_means(features, self.grid).flatten(0, 2).double()
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
