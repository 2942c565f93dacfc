"""How little the teacher's features, averaged over cells, are like those of normal images.

The student's differences are fine, and on textures as large as those that a faint defect makes; averaged over a cell
that noise is gone. What is normal there is learned by contrast: a small network tells cells of normal images from the
same cells moved at random, and so learns how dense the normals lie around each (noise-contrastive estimation, Gutmann
and Hyvärinen, AISTATS 2010; to detect defects, SimpleNet, CVPR 2023). Features are whitened first, so that noise is
alike in all directions, and a cell that a synthetic defect changes is moved some way towards what it becomes.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rd_core.features.cells import CellMoments, cell_means
from rd_core.features.standardisation import divisors
from rd_core.kernels.precision import networks_in
from rd_core.settings import Precision

FINE = 16
"""pixels a side of the finest cells: the teacher's coarsest stride"""
HIDDEN = (256, 128)
"""widths. One layer alone tells far less, layers of twice the width no more (research/LOG.md)"""
NOISE, NOISE_SPREAD = 1.0, 0.7
"""deviations of a whitened channel that noise has in the middle, and the deviation of the logarithm of its size: from
small beside the normals' own spread to far outside of it, or what is farther out than all noise may pass as normal"""
LITTLE = 0.15
"""deviations of a whitened channel by which cells that count as normal move, too: without it the network learns the
training normals themselves, and others lie beside them"""
CHANGED = 0.3
"""deviations a channel, in the mean, from which a synthetic defect has changed a cell"""
NEAREST = 0.3
"""share of the way to the defective cell, at least: fainter defects than synthetic ones are to be detected, too"""


class CellDiscriminator(nn.Module):
    """Weight times by how much the odds that a cell was moved lie above what is usual. As built the weight is 0."""

    mean: Tensor
    whitening: Tensor
    level: Tensor
    weight: Tensor

    def __init__(self, channels: tuple[int, ...], side: int, ridge: float, precision: Precision = "float32") -> None:
        """side: of a cell, in pixels, a multiple of 16. ridge: what `fit` adds to each channel's variance of 1.
        precision: of all layers but the last."""
        super().__init__()
        self.side = side
        self.ridge = ridge
        self.precision = precision
        width = sum(channels)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("whitening", torch.from_numpy(np.eye(width, dtype=np.float32)))
        self.register_buffer("level", torch.zeros(()))
        self.register_buffer("weight", torch.zeros(()))
        first, second = HIDDEN
        self.layers = nn.Sequential(
            *(nn.Linear(width + 1, first), nn.BatchNorm1d(first), nn.LeakyReLU(0.2)),
            *(nn.Linear(first, second), nn.BatchNorm1d(second), nn.LeakyReLU(0.2)),
            nn.Linear(second, 1),
        )

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """The teacher's raw maps (B, C_k, H/s, W/s) -> (B, H/side, W/side), from 0."""
        return self.weight * self.unweighed(features)

    def unweighed(self, features: tuple[Tensor, ...]) -> Tensor:
        """The same without the weight."""
        return (self.logits(features) - self.level).clamp_min(0)

    def logits(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logarithm of the odds that a cell was moved, (B, H/side, W/side)."""
        white = self.whitened(features)
        return self._odds(white.flatten(0, 2)).view(white.shape[:3])

    def loss(self, normal: tuple[Tensor, ...], shown: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        """The cross entropy of telling cells of the normals from moved ones, one for one.

        normal, shown: the teacher's raw maps of the same images as they are, and with defects in some. generator: of
        this device.
        """
        still = self.whitened(normal).flatten(0, 2)
        defective = still if shown is normal else self.whitened(shown).flatten(0, 2)
        moved = self._moved(still, defective, generator)
        still = still + LITTLE * torch.empty_like(still).normal_(generator=generator)
        found = self._odds(torch.cat([still, moved]))
        return F.softplus(found[: len(still)]).mean() + F.softplus(-found[len(still) :]).mean()

    def _odds(self, white: Tensor) -> Tensor:
        """Whitened cells (N, C) -> (N,). The network is told the distance from the mean, too, which grows without end
        where its layers alone could turn back to what looks normal."""
        told = torch.cat([white, white.square().mean(dim=1, keepdim=True)], dim=1)
        with networks_in(self.precision, white.device):
            hidden = self.layers[:-1](told)
        return self.layers[-1](hidden.float())[:, 0]

    @staticmethod
    def _moved(still: Tensor, defective: Tensor, generator: torch.Generator) -> Tensor:
        """Of whitened cells (N, C): those that a defect changed, some way towards it; the others by noise."""
        way, size = torch.empty(2, len(still), 1, device=still.device)
        way.uniform_(NEAREST, 1, generator=generator)
        size.log_normal_(math.log(NOISE), NOISE_SPREAD, generator=generator)
        noise = size * torch.empty_like(still).normal_(generator=generator)
        change = defective - still
        is_changed = change.square().mean(dim=1, keepdim=True).sqrt() > CHANGED
        return still + torch.where(is_changed, way * change, noise)

    def fit(self, moments: CellMoments) -> None:
        """Take over mean and covariance of the training normals."""
        mean, covariance = moments.result()
        deviation = divisors(mean, covariance.diagonal().clamp_min(0).sqrt())
        correlation = covariance / deviation[:, None] / deviation
        correlation.fill_diagonal_(1 + self.ridge)
        root = torch.linalg.cholesky(torch.linalg.inv(correlation))
        self.mean.copy_(mean)
        self.whitening.copy_(root / deviation[:, None])

    def whitened(self, features: tuple[Tensor, ...]) -> Tensor:
        """(B, H/side, W/side, C), of unit covariance over the normals but for the ridge."""
        return (cell_means(features, self.side) - self.mean) @ self.whitening
