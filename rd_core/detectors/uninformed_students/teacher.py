"""Distillation of a teacher of descriptors from the frozen backbone."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rd_core.detectors.finite_loss import finite_loss
from rd_core.detectors.uninformed_students import losses
from rd_core.detectors.uninformed_students.kept_images import KeptImages
from rd_core.detectors.uninformed_students.network import DescriptorNetwork
from rd_core.detectors.uninformed_students.patches import draw
from rd_core.detectors.uninformed_students.settings import BACKBONE_SIDE, UninformedStudentsSettings
from rd_core.features.backbone import Teacher
from rd_core.features.standardisation import divisors
from rd_core.kernels.precision import networks_in
from rd_core.pictures.preprocessing import Normalisation

RATE = 1e-3
"""peak of the one-cycle learning rate"""
DECAY = 1e-5
"""of weights, as in the paper"""
CURE = "Train with another seed, or a smaller width."
"""of a training that diverged"""
BATCHES_MEASURED = 4
"""whose patches give mean and deviation of the backbone's channels"""


class Distillation:
    """Trains one teacher to embed patches as the backbone does."""

    def __init__(
        self,
        settings: UninformedStudentsSettings,
        backbone: Teacher,
        normalisation: Normalisation,
        images: KeptImages,
        device: torch.device,
    ) -> None:
        """backbone, normalisation: on the device. images: general ones or normals, see `patches.draw`."""
        self._settings, self._backbone, self._normalisation = settings, backbone, normalisation
        self._images, self._device = images, device

    def train(self, teacher: DescriptorNetwork, told: Callable[[float], None]) -> dict[str, float]:
        """Train in place. told: called with the loss of each step. Returns the means of the three losses over
        the last tenth of the steps, whose patches were new to the teacher: a channel of the backbone of which it
        tells nothing adds 1 to the first. Raises TrainingDiverged."""
        settings, scale = self._settings, teacher.scale
        random = np.random.default_rng((settings.seed, scale))
        mean, deviation = self._moments(scale, random)
        decoder = nn.Linear(settings.descriptors, len(mean)).to(self._device)
        optimiser = torch.optim.Adam([*teacher.parameters(), *decoder.parameters()], RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, RATE, total_steps=settings.teacher_steps + 1, cycle_momentum=False
        )
        history = []
        for step in range(settings.teacher_steps):
            anchors, positives, numbers = self._draw(scale, random)
            targets = (self._of_backbone(anchors) - mean) / deviation
            with networks_in(settings.precision, self._device):
                found = teacher.of_patches(torch.cat([anchors, positives]))
            one, other = found.chunk(2)
            parts = (
                losses.distillation(decoder(one), targets),
                losses.triplet(one, other, one.roll(1, 0), numbers != numbers.roll(1)),
                losses.compactness(found),
            )
            loss = torch.stack([weight * part for weight, part in zip(losses.WEIGHTS, parts, strict=True)]).sum()
            value = finite_loss(float(loss.detach()), step, CURE)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            history.append([float(part.detach()) for part in parts])
            told(value)
        last = np.mean(history[-math.ceil(len(history) / 10) :], axis=0)
        return dict(zip(("distillation", "triplet", "compactness"), last.tolist(), strict=True))

    def _draw(self, scale: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised anchors and positives (B, 3, p, p), and the numbers (B,) of their images."""
        general = self._settings.general_images is not None
        drawn = draw(self._images, self._settings.patches, scale, random, general=general)
        anchors, positives = (
            self._normalisation(torch.from_numpy(some).to(self._device)) for some in (drawn.anchors, drawn.positives)
        )
        return anchors, positives, torch.from_numpy(drawn.numbers).to(self._device)

    def _of_backbone(self, patches: Tensor) -> Tensor:
        """The means (B, C) of the backbone's second and third stage over each patch."""
        large = F.interpolate(patches, size=(BACKBONE_SIDE, BACKBONE_SIDE), mode="bilinear", align_corners=False)
        with networks_in(self._settings.precision, self._device):
            stages = self._backbone(large.contiguous(memory_format=torch.channels_last))
        return torch.cat([stage.float().mean(dim=(2, 3)) for stage in stages[1:]], dim=1)

    def _moments(self, scale: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Mean and deviation (C,) of what `_of_backbone` gives."""
        measured = torch.cat([self._of_backbone(self._draw(scale, random)[0]) for _ in range(BATCHES_MEASURED)])
        mean = measured.mean(dim=0)
        return mean, divisors(mean, measured.std(dim=0))
