"""The three losses of a teacher (Section 3.1 of the paper)."""

import torch
from torch import Tensor

MARGIN = 10.0
"""delta of the triplet loss"""
WEIGHTS = (1.0, 1.0, 0.01)
"""of distillation, triplet and compactness: a sum over 16,256 pairs would outweigh the others, and the teacher would
learn nothing from the backbone"""


def distillation(decoded: Tensor, targets: Tensor) -> Tensor:
    """Squared distance of decoded descriptors (B, C) from the backbone's (B, C), mean over the patches."""
    return (decoded - targets).square().sum(dim=1).mean()


def triplet(anchors: Tensor, positives: Tensor, negatives: Tensor, valid: Tensor) -> Tensor:
    """max(0, margin + d+ - d-), mean over valid triplets, of descriptors (B, d): d+ the squared distance of anchor
    and positive, d- the lesser one of the negative from either. valid: bool (B,); 0 if none is."""
    near = (anchors - positives).square().sum(dim=1)
    far = torch.minimum(
        (anchors - negatives).square().sum(dim=1),
        (positives - negatives).square().sum(dim=1),
    )
    hinge = (MARGIN + near - far).clamp_min(0)
    return (hinge * valid).sum() / valid.sum().clamp_min(1)


def compactness(descriptors: Tensor) -> Tensor:
    """Sum over i != j of the squared correlation of components i and j, of descriptors (B, d) of one batch."""
    apart = descriptors - descriptors.mean(dim=0)
    unit = apart / apart.square().sum(dim=0).sqrt().clamp_min(1e-6)
    squares = (unit.T @ unit).square()
    return squares.sum() - squares.diagonal().sum()
