"""Teacher features of all stages, averaged over square cells of an image."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rd_core.features.backbone import STRIDES
from rd_core.pictures.counted_pixels import CountedPixels


def cell_means(features: tuple[Tensor, ...], side: int, counted: CountedPixels | None = None) -> Tensor:
    """Means (B, ceil(H / side), ceil(W / side), sum of C_k) over cells of `side` pixels, a multiple of 16, of the
    teacher's maps (B, C_k, H/s, W/s) at s = 4, 8, 16. They are over counted positions; a counted cell has some."""
    cells = [F.avg_pool2d(f, side // stride, ceil_mode=True) for f, stride in zip(features, STRIDES, strict=True)]
    if counted is not None:
        grids = [counted.on_grid(stride).float()[:, None] for stride in STRIDES]
        shares = [F.avg_pool2d(g, side // stride, ceil_mode=True) for g, stride in zip(grids, STRIDES, strict=True)]
        for cell, share in zip(cells, shares, strict=True):
            cell.div_(share.where(share > 0, 1))
    return torch.cat(cells, dim=1).permute(0, 2, 3, 1)


def counted_cells(cells: Tensor, side: int, counted: CountedPixels | None) -> Tensor:
    """Those (N, ...) of cells (B, h, w, ...) of `side` pixels that count."""
    return cells.flatten(0, 2) if counted is None else cells[counted.on_grid(side)]


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

    def add(self, features: tuple[Tensor, ...], counted: CountedPixels | None = None) -> None:
        """Add the teacher's raw maps (B, C_k, H/s, W/s) of more images."""
        cells = counted_cells(cell_means(features, self.side, counted), self.side, counted).double()
        total, products = cells.sum(dim=0).cpu(), (cells.T @ cells).cpu()
        self.count += len(cells)
        self.total = total if self.total is None else self.total + total
        self.products = products if self.products is None else self.products + products

    def result(self) -> tuple[Tensor, Tensor]:
        """(mean (C,), covariance (C, C)), float64; zeros if no cell counts."""
        assert self.total is not None  # a training set has images
        assert self.products is not None
        count = max(self.count, 1)
        mean = self.total / count
        return mean, self.products / count - mean.outer(mean)
