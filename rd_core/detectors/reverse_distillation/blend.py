"""The blend of direction (the paper's 1 - cosine) and magnitude (mean square) of the difference between teacher and
student.

Direction separates structures better, magnitude textures, so the shares are fitted for each category.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SHARES = tuple(step / 10 for step in range(11))
"""candidate shares of magnitude"""
NO_LENGTH = 1e-8
"""smallest norm, as in torch's cosine_similarity"""


def squared_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean squared difference along the channels of two float32 (B, C, h, w): (B, h, w), not negative."""
    return (teacher - student).square().mean(dim=1)


class Blend(nn.Module):
    """direction_k * (1 - cosine) + magnitude_k * mean square, for each stage k. Initially the paper's map."""

    direction: Tensor
    magnitude: Tensor

    def __init__(self, stages: int) -> None:
        super().__init__()
        self.register_buffer("direction", torch.ones(stages))
        self.register_buffer("magnitude", torch.zeros(stages))

    def forward(self, teacher: Sequence[Tensor], student: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Distances (B, h_k, w_k) >= 0 from maps (B, C_k, h_k, w_k) of both, of the map's stages.

        Equal to `cosine_distance` and `squared_distance` up to rounding, from one product and two norms.
        """
        blended = []
        for k, (t, s) in enumerate(zip(teacher, student, strict=True)):
            product = (t * s).sum(dim=1)
            length, other = torch.linalg.vector_norm(t, dim=1), torch.linalg.vector_norm(s, dim=1)
            direction = 1 - product / (length.clamp_min(NO_LENGTH) * other.clamp_min(NO_LENGTH))
            square = (length.square() + other.square() - 2 * product) / t.shape[1]
            blended.append(self.direction[k] * direction.clamp_min(0) + self.magnitude[k] * square.clamp_min(0))
        return tuple(blended)

    def set(self, share: float, direction_peaks: Tensor, magnitude_peaks: Tensor) -> None:
        """Divide each stage and kind by its mean peak on normals, float32 (stages,), and weight magnitude by `share`.

        A normal image's map then peaks near 1, or below.
        """
        stages = len(self.direction)
        self.direction.copy_((1 - share) / (stages * direction_peaks))
        self.magnitude.copy_(share / (stages * magnitude_peaks))

    def scale(self, factor: float) -> None:
        """Multiply all weights by `factor`."""
        self.direction.mul_(factor)
        self.magnitude.mul_(factor)


def best_share(normal: Tensor, defective: Tensor) -> float:
    """Choose the share of magnitude that best separates defective images from normal ones.

    normal, defective: float32 (N, 2, h, w) and (M, 2, h, w), smoothed maps of direction and of magnitude, each
    weighted by its peaks. Maximises the mean over defective images of tanh(z / 2), z the log peak standardised by the
    normals': tanh limits the weight of plain defects, and unlike AUROC does not saturate when all are separated.
    """
    return max(SHARES, key=lambda share: _separation(normal, defective, share))


def _separation(normal: Tensor, defective: Tensor, share: float) -> float:
    weights = torch.tensor([1 - share, share], device=normal.device)
    usual, odd = (
        torch.einsum("nkhw,k->nhw", maps, weights).amax(dim=(1, 2)).clamp_min(1e-12).log()
        for maps in (normal, defective)
    )
    spread = usual.std(correction=0).clamp_min(1e-6)
    return float(torch.tanh((odd - usual.mean()) / (2 * spread)).mean())
