"""The one-class bottleneck embedding: multi-scale feature fusion (MFF), then one-class embedding (OCE)."""

import torch
from torch import Tensor, nn

from rd_core.residual_block import initialise, residual_stage
from rd_core.teacher import TeacherSpec


class FeatureFusion(nn.Module):
    """MFF: every stage brought to the coarsest grid by stride-2 convolutions, joined, and compressed 1x1."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            nn.Sequential(*(_halving(channels[i], channels[i + 1]) for i in range(stage, len(channels) - 1)))
            for stage in range(len(channels))
        )
        width = channels[-1]
        self.compress = nn.Sequential(
            nn.Conv2d(width * len(channels), width, kernel_size=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Stage features (B, C_k, h_k, w_k) -> (B, C_last, h_last, w_last)."""
        joined = torch.cat([path(f) for path, f in zip(self.paths, features, strict=True)], dim=1)
        return self.compress(joined)


class OneClassBottleneck(nn.Module):
    """MFF, then OCE: a copy of the teacher's fourth residual stage, trained from scratch."""

    def __init__(self, spec: TeacherSpec) -> None:
        super().__init__()
        self.fusion = FeatureFusion(spec.channels)
        self.embedding = residual_stage(
            spec.channels[-1], spec.embedding_channels, spec.embedding_depth, spec.narrowing, "down"
        )
        initialise(self)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Stage features at strides 4, 8, 16 -> embedding (B, embedding channels, H/32, W/32)."""
        return self.embedding(self.fusion(features))


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
