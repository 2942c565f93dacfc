"""The one-class bottleneck embedding: multi-scale feature fusion (MFF), then one-class embedding (OCE)."""

from typing import Literal

import torch
from torch import Tensor, nn

from rd_core.detectors.reverse_distillation.residual_block import initialise, residual_stage
from rd_core.features.backbone import FourthStage
from rd_core.features.backbone_spec import TeacherSpec

Fusion = Literal["compressed", "concatenated", "none"]


class FeatureFusion(nn.Module):
    """MFF: stages downsampled to the coarsest grid by stride-2 convolutions, concatenated, and compressed by a 1x1
    convolution.

    The paper's text compresses; the authors' code does not.
    """

    def __init__(self, channels: tuple[int, ...], *, compress: bool) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            nn.Sequential(*(_halving(channels[i], channels[i + 1]) for i in range(stage, len(channels) - 1)))
            for stage in range(len(channels))
        )
        joined = channels[-1] * len(channels)
        self.width = channels[-1] if compress else joined
        self.compress = _compression(joined, self.width) if compress else nn.Identity()

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Stage features (B, C_k, h_k, w_k) -> (B, width, h_last, w_last)."""
        joined = torch.cat([path(f) for path, f in zip(self.paths, features, strict=True)], dim=1)
        return self.compress(joined)


class LastStage(nn.Module):
    """The third stage alone, for the ablation without MFF."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.width = channels[-1]

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """The last of the stage features (B, C_k, h_k, w_k)."""
        return features[-1]


class OneClassBottleneck(nn.Module):
    """MFF, then OCE: a copy of the teacher's fourth residual stage, trained from scratch."""

    def __init__(self, spec: TeacherSpec, fusion: Fusion = "compressed") -> None:
        super().__init__()
        self.fusion: FeatureFusion | LastStage = (
            LastStage(spec.channels)
            if fusion == "none"
            else FeatureFusion(spec.channels, compress=fusion == "compressed")
        )
        self.embedding = residual_stage(
            self.fusion.width, spec.embedding_channels, spec.embedding_depth, spec.narrowing, "down"
        )
        initialise(self)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Stage features at strides 4, 8, 16 -> embedding (B, embedding channels, H/32, W/32)."""
        return self.embedding(self.fusion(features))


class PretrainedBottleneck(nn.Module):
    """The teacher's own frozen fourth stage: the baseline ("Pre") of the paper's Table 5."""

    def __init__(self, fourth: FourthStage) -> None:
        super().__init__()
        self.fourth = fourth

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Stage features at strides 4, 8, 16 -> embedding (B, embedding channels, H/32, W/32)."""
        return self.fourth(features[-1])


def _compression(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
