"""The losses: L2 of aligned images, and SimSiam's similarity of their features. Images are compared in pairs, each
with the one before it in a batch, whose order is random."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rd_core.detectors.fyd.transformers import WHOLE, aligned

COARSE = 4
"""points a side of the squares whose means are compared too, so that a part far off is pulled as well"""


def alignment_loss(images: Tensor, counted: Tensor, transforms: Tensor) -> Tensor:
    """Mean square difference of paired images float32 (B, 3, h, w) as `transforms` align them, over the points that
    count in both, and that of their COARSE means. counted: bool (B, h, w)."""
    images, seen = aligned(images, counted, transforms)
    coarse = F.avg_pool2d(images, COARSE), F.avg_pool2d(seen[:, None].float(), COARSE)[:, 0] > WHOLE
    return _apart(images, seen) + _apart(*coarse)


def _apart(images: Tensor, counted: Tensor) -> Tensor:
    both = counted & counted.roll(1, dims=0)
    apart = (images - images.roll(1, dims=0)).square().mean(dim=1)
    return (apart * both).sum() / both.sum().clamp_min(1)


class Heads(nn.Module):
    """SimSiam's projector and predictor (Chen and He, CVPR 2021) of a stage, for each position alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(channels // 4, 4)
        self.project = nn.Sequential(
            nn.Linear(channels, channels), nn.BatchNorm1d(channels), nn.ReLU(),
            nn.Linear(channels, channels), nn.BatchNorm1d(channels, affine=False),
        )  # fmt: skip
        self.predict = nn.Sequential(
            nn.Linear(channels, narrow), nn.BatchNorm1d(narrow), nn.ReLU(), nn.Linear(narrow, channels)
        )

    def forward(self, features: Tensor, counted: Tensor) -> Tensor:
        """Negative mean cosine of each position's prediction and the projection at the same position of the paired
        image, which has no gradient; in [-1, 1], 0 where no position counts in both.

        features: float32 (B, C, h, w). counted: bool (B, h, w).
        """
        rows = features.permute(0, 2, 3, 1)[counted]
        both = counted & counted.roll(1, dims=0)
        if len(rows) < 2 or not both.any():
            return features.sum() * 0
        projected = self.project(rows)
        predicted = self.predict(projected)
        number = (counted.flatten().cumsum(0) - 1).view_as(counted)
        own, paired = predicted[number[both]], projected.detach()[number.roll(1, dims=0)[both]]
        return -torch.cosine_similarity(own, paired, dim=1).mean()
