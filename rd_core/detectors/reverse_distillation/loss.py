"""Losses between the teacher's and the student's features, over the positions that count."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from rd_core.features.backbone import STRIDES
from rd_core.pictures.counted_pixels import CountedPixels, zeroed

Loss = Callable[[tuple[Tensor, ...], tuple[Tensor, ...], CountedPixels | None], Tensor]
"""(teacher's maps (B, C_k, h_k, w_k), the student's, what counts; None: all) -> scalar"""


def cosine_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """1 - cosine along the channels (Eq. 1) of two float32 (B, C, h, w): (B, h, w) in [0, 2]."""
    return 1 - F.cosine_similarity(teacher, student, dim=1)


def per_position(
    teacher: tuple[Tensor, ...], student: tuple[Tensor, ...], counted: CountedPixels | None = None
) -> Tensor:
    """Scalar sum over stages of the mean distance over positions and images (Eq. 2)."""
    stages = zip(teacher, student, STRIDES, strict=True)
    each = [
        _of_counted(zeroed(cosine_distance(t, s), counted, stride).mean(), counted, stride) for t, s, stride in stages
    ]
    return torch.stack(each).sum()


def magnitude(teacher: tuple[Tensor, ...], student: tuple[Tensor, ...], counted: CountedPixels | None) -> Tensor:
    """Scalar sum over stages of the mean smooth L1 distance from the teacher's maps, zero at ignored positions."""
    stages = zip(teacher, student, STRIDES, strict=True)
    each = [_of_counted(F.smooth_l1_loss(zeroed(s, counted, stride), t), counted, stride) for t, s, stride in stages]
    return torch.stack(each).sum()


def _of_counted(mean: Tensor, counted: CountedPixels | None, stride: int) -> Tensor:
    """The mean over counted positions, from the mean over all of what is zero at the others."""
    if counted is None:
        return mean
    grid = counted.on_grid(stride)
    return mean * (grid.numel() / grid.sum().clamp_min(1))


def flattened(
    teacher: tuple[Tensor, ...], student: tuple[Tensor, ...], counted: CountedPixels | None = None
) -> Tensor:
    """Scalar sum over stages of 1 - cosine of whole maps, one vector an image, as in the authors' code.

    Positions with strong features weigh more here, and their directions are not held individually.
    """
    return torch.stack(
        [
            (1 - F.cosine_similarity(t.flatten(1), zeroed(s, counted, stride).flatten(1), dim=1)).mean()
            for t, s, stride in zip(teacher, student, STRIDES, strict=True)
        ]
    ).sum()


LOSSES: dict[str, Loss] = {"per_position": per_position, "flattened": flattened}
