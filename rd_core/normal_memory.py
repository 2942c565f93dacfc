"""How far the teacher's features, averaged over cells, lie from the nearest cell that is remembered of the normals.

The student's differences are fine, and on textures as large as those that a faint defect makes; averaged over a cell
that noise is gone. PatchCore (CVPR 2022) remembers features of normals and looks for the nearest, PaDiM (ICPR 2020)
measures by the normals' covariance. Here the features are whitened by the covariance first, and few cells are
remembered: those that cover the others best.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rd_core.standardisation import divisors
from rd_core.teacher import STRIDES

ITEMS = 512
"""cells that a memory holds. Twice or four times as many find no more, and each costs a product an image's cell"""
SAMPLE = 16_384
"""cells of the training normals, drawn at random, that those to remember are chosen from"""
RIDGE = 0.01
"""added to each channel's variance of 1: without it, a direction in which few normals do not vary would count without
limit. PaDiM adds as much"""


def cell_means(features: tuple[Tensor, ...], side: int) -> Tensor:
    """The teacher's maps (B, C_k, H/s, W/s) at s = 4, 8, 16 -> their means over cells of `side` pixels, a multiple of
    16: (B, H/side, W/side, sum of C_k)."""
    cells = [F.avg_pool2d(f, side // stride) for f, stride in zip(features, STRIDES, strict=True)]
    return torch.cat(cells, dim=1).permute(0, 2, 3, 1)


class NormalMemory(nn.Module):
    """Weight times a cell's distance from the nearest remembered one. As built the weight is 0."""

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
        """The teacher's raw maps (B, C_k, H/s, W/s) -> (B, H/side, W/side), from 0."""
        return self.weight * self.unweighed(features)

    def unweighed(self, features: tuple[Tensor, ...]) -> Tensor:
        """The distance alone, per root of channels."""
        white = self._whitened(cell_means(features, self.side))
        batch, height, width, channels = white.shape
        # |x - i|^2 = |x|^2 - 2 (x.i - |i|^2 / 2): one product with an offset, and nothing else of cells times items.
        offset = self.items.square().sum(dim=1) / -2
        nearest = torch.addmm(offset, white.flatten(0, 2), self.items.T).amax(dim=1).view(batch, height, width)
        return ((white.square().sum(dim=3) - 2 * nearest) / channels).clamp_min(0).sqrt()

    def fit(self, cells: "CellStatistics") -> None:
        """Take over mean and covariance of the training normals, and remember their cells."""
        mean, covariance = cells.moments()
        deviation = divisors(mean, covariance.diagonal().clamp_min(0).sqrt())
        correlation = covariance / deviation[:, None] / deviation
        correlation.fill_diagonal_(1 + RIDGE)
        root = torch.linalg.cholesky(torch.linalg.inv(correlation))
        self.mean.copy_(mean)
        self.whitening.copy_(root / deviation[:, None])
        self.items.copy_(covering(self._whitened(cells.sample().to(self.mean.device)), ITEMS))

    def _whitened(self, cells: Tensor) -> Tensor:
        """(..., C) -> the same shape, of unit covariance over the normals."""
        return (cells - self.mean) @ self.whitening


def covering(points: Tensor, count: int) -> Tensor:
    """Of points (N, C) those `count` that leave none far from all: each is the farthest from those before it (greedy
    k-centre, as in PatchCore), the first is the one nearest to 0. With fewer points some are there twice: (count, C).
    """
    squares = points.square().sum(dim=1)
    index = squares.argmin()
    distances = torch.full_like(squares, torch.inf)
    chosen = []
    for _ in range(count):
        chosen.append(points[index])
        distances = torch.minimum(distances, squares + squares[index] - 2 * (points @ points[index]))
        index = distances.argmax()
    return torch.stack(chosen)


@dataclass
class CellStatistics:
    """Of all cells of the training normals mean and covariance, in float64, and of SAMPLE of them the features."""

    side: int
    """of a cell, in pixels"""
    images: int
    """how many there will be"""
    _count: int = 0
    _total: Tensor | None = None
    """(C,)"""
    _products: Tensor | None = None
    """(C, C)"""
    _drawn: np.ndarray | None = None
    """numbers of the cells that are kept, rising"""
    _kept: list[Tensor] = field(default_factory=list)

    def add(self, features: tuple[Tensor, ...]) -> None:
        """The teacher's raw maps (B, C_k, H/s, W/s) of the next few images."""
        means = cell_means(features, self.side)
        per_image = means.shape[1] * means.shape[2]
        cells = means.flatten(0, 2).double()
        if self._drawn is None:
            every = self.images * per_image
            self._drawn = np.sort(np.random.default_rng(0).permutation(every)[:SAMPLE])
        low, high = np.searchsorted(self._drawn, [self._count, self._count + len(cells)])
        self._kept.append(cells[self._drawn[low:high] - self._count].float().cpu())
        total, products = cells.sum(dim=0).cpu(), (cells.T @ cells).cpu()
        self._count += len(cells)
        self._total = total if self._total is None else self._total + total
        self._products = products if self._products is None else self._products + products

    def moments(self) -> tuple[Tensor, Tensor]:
        """(mean (C,), covariance (C, C)), float64."""
        assert self._total is not None  # a training set has images
        assert self._products is not None
        mean = self._total / self._count
        return mean, self._products / self._count - mean.outer(mean)

    def sample(self) -> Tensor:
        """(SAMPLE or all there are, C), float32."""
        return torch.cat(self._kept)
