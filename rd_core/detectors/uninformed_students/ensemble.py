"""A teacher and its students, and how far they are apart."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rd_core.detectors.uninformed_students.architecture import layers_of
from rd_core.detectors.uninformed_students.network import DescriptorNetwork
from rd_core.detectors.uninformed_students.settings import UninformedStudentsSettings
from rd_core.kernels.precision import networks_in


class Ensemble(nn.Module):
    """The networks of one scale; B images have h x w positions."""

    mean: Tensor
    """(d,) of the teacher's descriptors over the training normals"""
    deviation: Tensor
    """(d,) likewise"""
    error_deviation: Tensor
    """() of the regression error over held-out normals"""
    variance_deviation: Tensor
    """() of the predictive variance over held-out normals"""

    def __init__(self, settings: UninformedStudentsSettings, scale: int) -> None:
        super().__init__()
        self.scale, self._precision = scale, settings.precision
        layers = layers_of(scale, settings.width, settings.descriptors)
        self.teacher, *students = (
            DescriptorNetwork(layers, scale, settings.stride) for _ in range(1 + settings.students)
        )
        self.students = cast(Sequence[DescriptorNetwork], nn.ModuleList(students))  # it tells no type of its items
        self.register_buffer("mean", torch.zeros(settings.descriptors))
        self.register_buffer("deviation", torch.ones(settings.descriptors))
        self.register_buffer("error_deviation", torch.ones(()))
        self.register_buffer("variance_deviation", torch.ones(()))

    def bordered(self, images: Tensor) -> Tensor:
        """See `DescriptorNetwork.bordered`."""
        return self.teacher.bordered(images)

    def targets(self, padded: Tensor) -> Tensor:
        """The teacher's normalised descriptors (B, d, h, w), from images with borders (B, 3, H, W)."""
        with networks_in(self._precision, self.mean.device):
            found = self.teacher(padded)
        return (found - self.mean[:, None, None]) / self.deviation[:, None, None]

    def predictions(self, padded: Tensor) -> Tensor:
        """The students' (M, B, d, h, w)."""
        with networks_in(self._precision, self.mean.device):
            return torch.stack([student(padded) for student in self.students])

    def distances(self, targets: Tensor, predictions: Tensor) -> Tensor:
        """(B, h, w): regression error and predictive variance, each over its deviation."""
        error, variance = error_and_variance(targets, predictions)
        return error / self.error_deviation + variance / self.variance_deviation


def error_and_variance(targets: Tensor, predictions: Tensor) -> tuple[Tensor, Tensor]:
    """Regression error and predictive variance (B, h, w) of the paper, from normalised descriptors (B, d, h, w) and
    the students' predictions (M, B, d, h, w): the squared distance of their mean from the descriptor, and the mean of
    their squared norms less the squared norm of their mean."""
    mean = predictions.mean(dim=0)
    error = (mean - targets).square().sum(dim=1)
    # The same as the difference of norms, which would cancel in float32.
    return error, (predictions - mean).square().sum(dim=2).mean(dim=0)
