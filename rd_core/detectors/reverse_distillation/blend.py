"""What of a stage's difference counts: its direction, its magnitude, and how much of each.

Direction is the paper's 1 - cos. Magnitude is the mean square of the difference between student and teacher.
Direction tells structures apart, magnitude textures: neither leads everywhere, and the blend follows the category.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SHARES = tuple(step / 10 for step in range(11))
"""of magnitude, that are tried"""
NO_LENGTH = 1e-8
"""of features without a direction, as torch's cosine_similarity has it"""


def squared_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean square of the difference along the channels: two float32 (B, C, h, w) -> (B, h, w), from 0."""
    return (teacher - student).square().mean(dim=1)


class Blend(nn.Module):
    """Per stage k: direction_k * (1 - cos) + magnitude_k * mean square. As built it is the paper's map."""

    direction: Tensor
    magnitude: Tensor

    def __init__(self, stages: int) -> None:
        super().__init__()
        self.register_buffer("direction", torch.ones(stages))
        self.register_buffer("magnitude", torch.zeros(stages))

    def forward(self, teacher: Sequence[Tensor], student: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, C_k, h_k, w_k) of both, of the stages that count -> distances (B, h_k, w_k), from 0.

        Both kinds follow from one product and two lengths: a sixth of the time of `cosine_distance` and
        `squared_distance`, and the same to rounding.
        """
        found = []
        for k, (t, s) in enumerate(zip(teacher, student, strict=True)):
            product = (t * s).sum(dim=1)
            length, other = torch.linalg.vector_norm(t, dim=1), torch.linalg.vector_norm(s, dim=1)
            direction = 1 - product / (length.clamp_min(NO_LENGTH) * other.clamp_min(NO_LENGTH))
            square = (length.square() + other.square() - 2 * product) / t.shape[1]
            found.append(self.direction[k] * direction.clamp_min(0) + self.magnitude[k] * square.clamp_min(0))
        return tuple(found)

    def set(self, share: float, direction_peaks: Tensor, magnitude_peaks: Tensor) -> None:
        """Weigh each stage and kind by the inverse of its usual peak on normals, float32 (stages,), then magnitude by
        `share` and direction by the rest. A normal image's map then peaks near 1, or below."""
        stages = len(self.direction)
        self.direction.copy_((1 - share) / (stages * direction_peaks))
        self.magnitude.copy_(share / (stages * magnitude_peaks))

    def scale(self, factor: float) -> None:
        """Weigh every stage and kind by `factor` more."""
        self.direction.mul_(factor)
        self.magnitude.mul_(factor)


def best_share(normal: Tensor, defective: Tensor) -> float:
    """Choose the share of magnitude that best separates defective images from normal ones.

    normal, defective: float32 (N, 2, h, w) and (M, 2, h, w), smoothed maps of direction and of magnitude, each
    weighted by its peaks. The criterion is the mean over defective images of tanh(z / 2), where z is the log peak
    standardised by that of the normals: tanh keeps plain defects from outvoting faint ones, and unlike AUROC the
    criterion still orders shares when every defective image is separated.
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
