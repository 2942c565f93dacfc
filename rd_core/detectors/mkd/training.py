"""Training of the cloner on the source's features, which are computed once."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rd_core.detectors.batches import batches
from rd_core.detectors.descent import Course, Descent
from rd_core.detectors.detector import FitProgress, FitReport, Normals
from rd_core.detectors.feature_sources import counted_on, feature_sources
from rd_core.detectors.mkd.loss import STRIDES
from rd_core.features.cache import FeatureSource
from rd_core.features.shared_pass import SharedPass
from rd_core.features.standardisation import Moments
from rd_core.pictures.counted_pixels import CountedPixels

if TYPE_CHECKING:
    from rd_core.detectors.mkd.detector import MKD

Report = Callable[[FitProgress], None]


def fit(model: "MKD", normals: Normals, report: Report, shared: SharedPass | None = None) -> FitReport:
    """Fit the standardisation, then train the cloner from its current weights. Raises as `Detector.fit`."""
    with ExitStack() as resources:
        sets = [normals.train, normals.early_stop]
        moments = _OfStages(strides=STRIDES), model.standardisation.fit
        train, early_stop = feature_sources(model, sets, report, resources, [moments], shared=shared)
        descent = _ClonerDescent(model, train, early_stop, report)
        descent.run()
    losses = [validation.validation_loss for validation in descent.history]
    figures = {"steps": descent.step, "best_step": descent.best_step, "validation_losses": losses}
    return FitReport(f"{descent.best_step} steps", figures)


class _OfStages(Moments):
    """Of the source's stages alone, not of the image that precedes them."""

    def add(self, features: tuple[Tensor, ...], counted: CountedPixels | None = None) -> None:
        super().add(features[1:], counted)


class _ClonerDescent(Descent):
    """Steps of Adam at one rate."""

    def __init__(self, model: "MKD", train: FeatureSource, early_stop: FeatureSource, report: Report) -> None:
        settings = model.settings
        course = Course(
            total=settings.total_steps(len(train)),
            validate_every=settings.validate_every,
            patience=settings.patience or None,
            keep="best" if settings.patience else "last",
            learning_rate=settings.learning_rate,
        )
        super().__init__((model.cloner,), course, batches(len(train), settings.batch, settings.seed), report)
        self.model, self.train, self.early_stop = model, train, early_stop

    @cached_property
    def optimiser(self) -> torch.optim.Optimizer:
        """Of all weights of the cloner."""
        return torch.optim.Adam(self.model.cloner.parameters(), lr=self.course.learning_rate, fused=True)

    def descend(self, indices: np.ndarray) -> float:
        """See `Descent.descend`."""
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._losses(self.train, indices).mean()
        value = self.finite(float(loss.detach()))
        loss.backward()
        self.optimiser.step()
        return value

    def validation_loss(self) -> float:
        """See `Descent.validation_loss`."""
        count, size = len(self.early_stop), self.model.settings.batch
        losses = [self._losses(self.early_stop, np.arange(at, min(at + size, count))) for at in range(0, count, size)]
        return float(torch.cat(losses).mean())

    def _losses(self, source: FeatureSource, indices: np.ndarray) -> Tensor:
        numbers: Sequence[int] = indices.tolist()
        counted = counted_on(self.model.device, source, numbers)
        images, *raw = (stage.to(self.model.device) for stage in source.batch(numbers))
        return self.model.training_losses(images, tuple(raw), counted)
