"""Training of the cloner on the source's features, which are computed once."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rd_core.detectors.batches import batches
from rd_core.detectors.detector import FitProgress, FitReport, Normals
from rd_core.detectors.feature_sources import counted_on, feature_sources
from rd_core.detectors.finite_loss import finite_loss
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
        descent = _Descent(model, train, early_stop, report)
        descent.run()
    figures = {"steps": descent.step, "best_step": descent.best_step, "validation_losses": descent.validation_losses}
    return FitReport(f"{descent.best_step} steps", figures)


class _OfStages(Moments):
    """Of the source's stages alone, not of the image that precedes them."""

    def add(self, features: tuple[Tensor, ...], counted: CountedPixels | None = None) -> None:
        super().add(features[1:], counted)


class _Descent:
    """Steps of Adam at one rate, and validations on the early-stop normals."""

    def __init__(self, model: "MKD", train: FeatureSource, early_stop: FeatureSource, report: Report) -> None:
        self.model, self.settings = model, model.settings
        self.train, self.early_stop, self.report = train, early_stop, report
        self.total = model.settings.total_steps(len(train))
        self.step = self.best_step = 0
        self.validation_losses: list[float] = []

    def run(self) -> None:
        """Train until steps or patience are used up; leaves the weights to keep."""
        cloner, settings = self.model.cloner, self.settings
        optimiser = torch.optim.Adam(cloner.parameters(), lr=settings.learning_rate, fused=True)
        order = batches(len(self.train), settings.batch, settings.seed)
        best, began = math.inf, time.monotonic()
        kept = cloner.state_dict()
        cloner.train()
        while self.step < self.total and not self._is_out_of_patience():
            optimiser.zero_grad(set_to_none=True)
            loss = self._losses(self.train, next(order)).mean()
            value = self._finite(float(loss.detach()))
            loss.backward()
            optimiser.step()
            self.step += 1
            if self.step % settings.validate_every == 0 or self.step == self.total:
                self.validation_losses.append(self._validation_loss())
                if self.validation_losses[-1] < best or not settings.patience:
                    best, self.best_step = self.validation_losses[-1], self.step
                    kept = copy.deepcopy(cloner.state_dict())
            last = self.validation_losses[-1] if self.validation_losses else None
            self.report(FitProgress("steps", self.step, self.total, value, last, time.monotonic() - began))
        cloner.load_state_dict(kept)

    def _is_out_of_patience(self) -> bool:
        allowed = self.settings.patience * self.settings.validate_every
        return 0 < allowed <= self.step - self.best_step

    @torch.no_grad()
    def _validation_loss(self) -> float:
        """The training's loss of the early-stop normals."""
        self.model.cloner.eval()
        count, size = len(self.early_stop), self.settings.batch
        losses = [self._losses(self.early_stop, np.arange(at, min(at + size, count))) for at in range(0, count, size)]
        self.model.cloner.train()
        return self._finite(float(torch.cat(losses).mean()))

    def _losses(self, source: FeatureSource, indices: np.ndarray) -> Tensor:
        numbers: Sequence[int] = indices.tolist()
        counted = counted_on(self.model.device, source, numbers)
        images, *raw = (stage.to(self.model.device) for stage in source.batch(numbers))
        return self.model.training_losses(images, tuple(raw), counted)

    def _finite(self, loss: float) -> float:
        return finite_loss(loss, self.step, f"Train with a learning rate below {self.settings.learning_rate}.")
