"""Cells of an image: the teacher's features of all stages, averaged over squares of some pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rd_core.standardisation import divisors
from rd_core.teacher import STRIDES


def cell_means(features: tuple[Tensor, ...], side: int) -> Tensor:
    """The teacher's maps (B, C_k, H/s, W/s) at s = 4, 8, 16 -> their means over cells of `side` pixels, a multiple of
    16: (B, H/side, W/side, sum of C_k), both rounded up. What an image has of its last cells is averaged."""
    cells = [F.avg_pool2d(f, side // stride, ceil_mode=True) for f, stride in zip(features, STRIDES, strict=True)]
    return torch.cat(cells, dim=1).permute(0, 2, 3, 1)


@dataclass
class CellMoments:
    """Sums over the cells of all images, in float64."""

    side: int
    """of a cell, in pixels"""
    images: int = 0
    totals: Tensor | None = None
    """(rows, columns, C)"""
    squares: Tensor | None = None
    """(rows, columns, C)"""
    products: Tensor | None = None
    """(C, C)"""

    def add(self, features: tuple[Tensor, ...]) -> None:
        """The teacher's raw maps (B, C_k, H/s, W/s) of a few more images."""
        cells = cell_means(features, self.side).double()
        rows = cells.flatten(0, 2)
        found = cells.sum(dim=0).cpu(), cells.square().sum(dim=0).cpu(), (rows.T @ rows).cpu()
        before = self.totals, self.squares, self.products
        self.images += len(cells)
        self.totals, self.squares, self.products = (
            new if old is None else old + new for old, new in zip(before, found, strict=True)
        )

    def result(self) -> tuple[Tensor, Tensor]:
        """(mean (C,), covariance (C, C)), float64."""
        assert self.totals is not None  # a training set has images
        assert self.products is not None
        count = self.images * self.totals[..., 0].numel()
        mean = self.totals.sum(dim=(0, 1)) / count
        return mean, self.products / count - mean.outer(mean)

    def spread(self) -> Tensor:
        """(rows, columns), float64: how far from the mean of all the cells lie that are at one place, as the mean
        square over images and channels, in deviations of each channel."""
        mean, covariance = self.result()
        assert self.totals is not None
        assert self.squares is not None
        distances = self.squares / self.images - 2 * mean * self.totals / self.images + mean.square()
        deviations = divisors(mean, covariance.diagonal().clamp_min(0).sqrt())
        return (distances.clamp_min(0) / deviations.square()).mean(dim=2)
