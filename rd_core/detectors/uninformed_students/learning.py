"""Training of the students of one scale, and what is measured before and after it."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from rd_core.detectors.batches import full_batches
from rd_core.detectors.finite_loss import finite_loss
from rd_core.detectors.uninformed_students.architecture import extent
from rd_core.detectors.uninformed_students.ensemble import Ensemble, error_and_variance
from rd_core.detectors.uninformed_students.kept_images import KeptImages
from rd_core.detectors.uninformed_students.settings import UninformedStudentsSettings
from rd_core.detectors.uninformed_students.teacher import CURE, DECAY
from rd_core.features.standardisation import Moments
from rd_core.pictures.counted_pixels import CountedPixels, zeroed

RATE = 2e-3
"""peak of the one-cycle learning rate; 1e-4 throughout in the paper. At half of it students of 65 pixels had
learnt nothing after 150 steps"""
AT_ONCE = 8
"""images measured together"""
Shown = Callable[[KeptImages, Sequence[int]], tuple[Tensor, CountedPixels | None]]
"""(images, numbers) -> the networks' input (B, 3, H, W), and what counts of it"""


class Learning:
    """The normals of one fit, as the networks see them."""

    def __init__(
        self, settings: UninformedStudentsSettings, train: KeptImages, early_stop: KeptImages, shown: Shown
    ) -> None:
        self._settings, self._train, self._early_stop, self._shown = settings, train, early_stop, shown

    @torch.no_grad()
    def measure_teacher(self, ensemble: Ensemble) -> None:
        """Set mean and deviation of the teacher's descriptors over the training normals."""
        ensemble.mean.zero_()
        ensemble.deviation.fill_(1)
        targets = ((ensemble.targets(padded), counted) for padded, counted in self._all(ensemble, self._train))
        mean, deviation = self._measured(targets)
        ensemble.mean.copy_(mean)
        ensemble.deviation.copy_(deviation)

    def train_students(self, ensemble: Ensemble, told: Callable[[float], None]) -> float:
        """Train all students of a scale on the same crops, to repeat the teacher's normalised descriptors. told:
        called with the loss of each step. Returns the last loss. Raises TrainingDiverged."""
        settings = self._settings
        random = np.random.default_rng((settings.seed, ensemble.scale))
        weights = [weight for student in ensemble.students for weight in student.parameters()]
        optimiser = torch.optim.Adam(weights, RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, RATE, total_steps=settings.student_steps + 1, cycle_momentum=False
        )
        value = 0.0
        batches = full_batches(settings.crops, lambda: random.permutation(len(self._train)).tolist())
        for step, numbers in zip(range(settings.student_steps), batches, strict=False):
            padded, counted = self._crops(ensemble, numbers, random)
            with torch.no_grad():
                targets = ensemble.targets(padded)
            apart = (ensemble.predictions(padded) - targets).square().sum(dim=2).mean(dim=0)
            loss = (apart * counted).sum() / counted.sum().clamp_min(1)
            value = finite_loss(float(loss.detach()), step, CURE)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            told(value)
        return value

    @torch.no_grad()
    def measure_students(self, ensemble: Ensemble) -> dict[str, float]:
        """Set the deviations of regression error and predictive variance over the held-out normals; returns them
        with their means, which the map leaves out: a constant, without which no value is negative."""
        means, deviations = self._measured(
            (torch.stack(error_and_variance(ensemble.targets(padded), ensemble.predictions(padded)), dim=1), counted)
            for padded, counted in self._all(ensemble, self._early_stop)
        )
        ensemble.error_deviation.copy_(deviations[0])
        ensemble.variance_deviation.copy_(deviations[1])
        return {
            "error_mean": float(means[0]),
            "error_deviation": float(deviations[0]),
            "variance_mean": float(means[1]),
            "variance_deviation": float(deviations[1]),
        }

    def _crops(
        self, ensemble: Ensemble, numbers: Sequence[int], random: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Random crops of these images with their borders (B, 3, H, W), and 1 where a position (B, h, w) counts."""
        images, counted = self._shown(self._train, numbers)
        stride, grid, (rows, columns) = self._settings.stride, self._settings.grid, self._settings.crop
        height, width = (extent(count, ensemble.scale, stride) for count in (rows, columns))
        counts = torch.ones(len(images), *grid, device=images.device)
        counts = counts if counted is None else counted.on_grid(stride).float()
        corners = [random.integers((grid[0] - rows + 1, grid[1] - columns + 1)) for _ in numbers]
        padded = ensemble.bordered(images)
        crops = [
            image[:, stride * top : stride * top + height, stride * left : stride * left + width]
            for image, (top, left) in zip(padded, corners, strict=True)
        ]
        own = [one[top : top + rows, left : left + columns] for one, (top, left) in zip(counts, corners, strict=True)]
        return torch.stack(crops).contiguous(memory_format=torch.channels_last), torch.stack(own)

    def _measured(self, maps: Iterable[tuple[Tensor, CountedPixels | None]]) -> tuple[Tensor, Tensor]:
        """Mean and deviation float32 (C,) of maps (B, C, h, w) over counted positions; deviation 1 where constant, or
        where nothing counts."""
        stride = self._settings.stride
        moments = Moments(strides=(stride,))
        for some, counted in maps:
            moments.add((zeroed(some, counted, stride),), counted)
        (measured,) = moments.pairs()
        return measured

    def _all(self, ensemble: Ensemble, images: KeptImages) -> Iterator[tuple[Tensor, CountedPixels | None]]:
        """All images with their borders, AT_ONCE at a time, and what counts of them."""
        for start in range(0, len(images), AT_ONCE):
            shown, counted = self._shown(images, range(start, min(start + AT_ONCE, len(images))))
            yield ensemble.bordered(shown), counted
