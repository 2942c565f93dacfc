"""Losses between the teacher's and the student's features."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[tuple[Tensor, ...], tuple[Tensor, ...]], Tensor]


def cosine_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """1 - cosine along the channels (Eq. 1) of two float32 (B, C, h, w): (B, h, w) in [0, 2]."""
    return 1 - F.cosine_similarity(teacher, student, dim=1)


def per_position(teacher: tuple[Tensor, ...], student: tuple[Tensor, ...]) -> Tensor:
    """Scalar sum over stages of the mean distance over positions and images (Eq. 2)."""
    return torch.stack([cosine_distance(t, s).mean() for t, s in zip(teacher, student, strict=True)]).sum()


def flattened(teacher: tuple[Tensor, ...], student: tuple[Tensor, ...]) -> Tensor:
    """Scalar sum over stages of 1 - cosine of whole maps, one vector an image, as in the authors' code.

    Positions with strong features weigh more here, and their directions are not held individually.
    """
    return torch.stack(
        [
            (1 - F.cosine_similarity(t.flatten(1), s.flatten(1), dim=1)).mean()
            for t, s in zip(teacher, student, strict=True)
        ]
    ).sum()


LOSSES: dict[str, Loss] = {"per_position": per_position, "flattened": flattened}
