"""How far the teacher's features lie from those of the normals where they are averaged over cells of 32 pixels.

The student's differences are fine, and on textures as large as those that a faint defect makes. Averaged over a cell
that noise is gone, and the plain Mahalanobis distance of all stages' channels tells. PaDiM (ICPR 2020) has one mean
and one covariance for each place of the picture; here they are of all places together, so nothing need be aligned.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rd_core.config import COARSEST_STRIDE
from rd_core.standardisation import divisors
from rd_core.teacher import STRIDES

RIDGE = 0.01
"""added to each channel's variance of 1: without it, a direction in which few normals do not vary would count without
limit. PaDiM adds as much"""


def cell_means(features: tuple[Tensor, ...]) -> Tensor:
    """The teacher's maps (B, C_k, H/s, W/s) at s = 4, 8, 16 -> their means (B, sum of C_k, H/32, W/32)."""
    cells = [F.avg_pool2d(f, COARSEST_STRIDE // stride) for f, stride in zip(features, STRIDES, strict=True)]
    return torch.cat(cells, dim=1)


class CoarseDistance(nn.Module):
    """Weight times the Mahalanobis distance of a cell's means. As built the weight is 0."""

    mean: Tensor
    whitening: Tensor
    weight: Tensor

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        width = sum(channels)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("whitening", torch.eye(width))
        self.register_buffer("weight", torch.zeros(()))

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """The teacher's raw maps (B, C_k, H/s, W/s) -> (B, H/32, W/32), from 0."""
        return self.weight * self.unweighed(features)

    def unweighed(self, features: tuple[Tensor, ...]) -> Tensor:
        """The distance alone, per root of channels: about 1 for what varies as the training normals do."""
        white = (cell_means(features).permute(0, 2, 3, 1) - self.mean) @ self.whitening
        return white.square().mean(dim=3).sqrt()

    def fit(self, moments: "CellMoments") -> None:
        """Take over mean and covariance of the training normals."""
        mean, covariance = moments.result()
        deviation = divisors(mean, covariance.diagonal().clamp_min(0).sqrt())
        correlation = covariance / deviation[:, None] / deviation
        correlation.fill_diagonal_(1 + RIDGE)
        root = torch.linalg.cholesky(torch.linalg.inv(correlation))
        self.mean.copy_(mean)
        self.whitening.copy_(root / deviation[:, None])


@dataclass
class CellMoments:
    """Sums over images and cells, in float64."""

    count: int = 0
    total: Tensor | None = None
    """(C,)"""
    products: Tensor | None = None
    """(C, C)"""

    def add(self, features: tuple[Tensor, ...]) -> None:
        """The teacher's raw maps (B, C_k, H/s, W/s) of a few more images."""
        cells = cell_means(features).permute(0, 2, 3, 1).flatten(0, 2).double()
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
