"""Discriminators of cells: how unlike normal images the teacher's features, averaged over cells, are.

Averaging removes the noise that hides faint defects on textures. A small network discriminates cells of normal images
from the same cells moved at random, and so learns the density of normals (noise-contrastive estimation, Gutmann and
Hyvärinen, AISTATS 2010; SimpleNet, CVPR 2023). Features are whitened first, so noise is isotropic; cells that a
synthetic defect changes move towards the change.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rd_core.features.cells import CellMoments, cell_means, counted_cells
from rd_core.features.standardisation import divisors
from rd_core.kernels.precision import networks_in
from rd_core.pictures.counted_pixels import CountedPixels
from rd_core.settings import Precision

FINE = 16
"""pixels a side of the finest cells: the teacher's coarsest stride"""
HIDDEN = (256, 128)
"""layer widths (docs/decisions/0034)"""
NOISE, NOISE_SPREAD = 1.0, 0.7
"""median standard deviation of the noise, in those of a whitened channel, and the spread of its logarithm: from far
below the normals' own spread to far above, so that no distance passes as normal"""
LITTLE = 0.15
"""standard deviation of the noise added to normal cells, without which the network memorises the training normals"""
CHANGED = 0.3
"""root mean square change of a channel from which a synthetic defect has changed a cell"""
NEAREST = 0.3
"""least share of the change that a moved cell takes: real defects may be fainter than synthetic ones"""


class CellDiscriminator(nn.Module):
    """Weight times the excess of the log odds that a cell was moved over their normal level. Initially the weight is
    0."""

    mean: Tensor
    whitening: Tensor
    level: Tensor
    weight: Tensor

    def __init__(self, channels: tuple[int, ...], side: int, ridge: float, precision: Precision = "float32") -> None:
        """side: of a cell, in pixels, a multiple of 16. ridge: added to each channel's variance of 1 by `fit`.
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

    def forward(self, features: tuple[Tensor, ...], counted: CountedPixels | None = None) -> Tensor:
        """(B, H/side, W/side), not negative, from the teacher's raw maps (B, C_k, H/s, W/s)."""
        return self.weight * self.unweighed(features, counted)

    def unweighed(self, features: tuple[Tensor, ...], counted: CountedPixels | None = None) -> Tensor:
        """The same without the weight."""
        return (self.logits(features, counted) - self.level).clamp_min(0)

    def logits(self, features: tuple[Tensor, ...], counted: CountedPixels | None = None) -> Tensor:
        """Log odds that a cell was moved, (B, H/side, W/side)."""
        white = self.whitened(features, counted)
        return self._odds(white.flatten(0, 2)).view(white.shape[:3])

    def loss(
        self,
        normal: tuple[Tensor, ...],
        shown: tuple[Tensor, ...],
        generator: torch.Generator,
        counted: CountedPixels | None = None,
    ) -> Tensor:
        """Cross entropy of discriminating normal cells from as many moved ones; 0 if no cell counts.

        normal, shown: the teacher's raw maps of the same images as they are, and with synthetic defects in some.
        generator: on this device.
        """
        still = counted_cells(self.whitened(normal, counted), self.side, counted)
        if not len(still):
            return 0 * next(self.layers[-1].parameters()).sum()
        defective = still
        if shown is not normal:
            defective = counted_cells(self.whitened(shown, counted), self.side, counted)
        moved = self._moved(still, defective, generator)
        still = still + LITTLE * torch.empty_like(still).normal_(generator=generator)
        logits = self._odds(torch.cat([still, moved]))
        return F.softplus(logits[: len(still)]).mean() + F.softplus(-logits[len(still) :]).mean()

    def _odds(self, white: Tensor) -> Tensor:
        """Log odds (N,) of whitened cells (N, C). The squared distance from the mean is an additional input, because
        it is unbounded where the layers could saturate."""
        inputs = torch.cat([white, white.square().mean(dim=1, keepdim=True)], dim=1)
        with networks_in(self.precision, white.device):
            hidden = self.layers[:-1](inputs)
        return self.layers[-1](hidden.float())[:, 0]

    @staticmethod
    def _moved(still: Tensor, defective: Tensor, generator: torch.Generator) -> Tensor:
        """Move whitened cells (N, C): part of the way to the defect where one changed the cell, by noise
        elsewhere."""
        way, size = torch.empty(2, len(still), 1, device=still.device)
        way.uniform_(NEAREST, 1, generator=generator)
        size.log_normal_(math.log(NOISE), NOISE_SPREAD, generator=generator)
        noise = size * torch.empty_like(still).normal_(generator=generator)
        change = defective - still
        is_changed = change.square().mean(dim=1, keepdim=True).sqrt() > CHANGED
        return still + torch.where(is_changed, way * change, noise)

    def fit(self, moments: CellMoments) -> None:
        """Set mean and whitening from the training normals."""
        mean, covariance = moments.result()
        deviation = divisors(mean, covariance.diagonal().clamp_min(0).sqrt())
        correlation = covariance / deviation[:, None] / deviation
        correlation.fill_diagonal_(1 + self.ridge)
        root = torch.linalg.cholesky(torch.linalg.inv(correlation))
        self.mean.copy_(mean)
        self.whitening.copy_(root / deviation[:, None])

    def whitened(self, features: tuple[Tensor, ...], counted: CountedPixels | None = None) -> Tensor:
        """Whitened cells (B, H/side, W/side, C), of unit covariance over the normals apart from the ridge."""
        return (cell_means(features, self.side, counted) - self.mean) @ self.whitening
