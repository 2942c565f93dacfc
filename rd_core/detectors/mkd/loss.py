"""The loss of one image: how the cloner's stages differ from the source's in values and in direction (Eq. 1 to 3)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rd_core.pictures.counted_pixels import CountedPixels

STRIDES = (4, 8, 16, 32)
"""of the critical stages, in pixels: VGG16's second to fifth pooling"""
SCORED = 3
"""of these stages, from the last on, score; all of them train"""
_TINY = 1e-8
"""added to squared norms, so that a stage of zeros has a gradient"""


def stage_losses(
    source: Sequence[Tensor],
    cloner: Sequence[Tensor],
    value_weight: float,
    counted: CountedPixels | None,
) -> Tensor:
    """Losses (B,) of images, summed over stages: 1 - cosine of a whole stage's features as one vector, and
    `value_weight` times their mean squared difference.

    source, cloner: maps float32 (B, C_k, H / s, W / s) of all four stages or the last of them, zero at ignored
    positions. A stage without a counted position adds 0.
    """
    total = torch.zeros(len(source[0]), device=source[0].device)
    for wanted, given, stride in zip(source, cloner, STRIDES[-len(source) :], strict=True):
        apart = (wanted - given).square().mean(dim=(1, 2, 3))
        if counted is not None:
            apart = apart * counted.inverse_shares(stride)
        loss = 1 - _cosine(wanted.flatten(1), given.flatten(1)) + value_weight * apart
        if counted is not None:  # a stage of zeros has no direction
            loss = torch.where(counted.on_grid(stride).flatten(1).any(dim=1), loss, 0.0)
        total = total + loss
    return total


def _cosine(some: Tensor, others: Tensor) -> Tensor:
    """(B,) of (B, n)."""
    norms = (some.square().sum(dim=1) + _TINY).sqrt() * (others.square().sum(dim=1) + _TINY).sqrt()
    return (some * others).sum(dim=1) / norms
