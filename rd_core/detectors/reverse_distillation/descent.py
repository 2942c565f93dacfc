"""Gradient descent of Reverse Distillation: a step, its loss and its learning rate."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rd_core.detectors.batches import batches
from rd_core.detectors.descent import Course, Descent
from rd_core.detectors.detector import FitProgress
from rd_core.detectors.feature_detector import Features
from rd_core.detectors.reverse_distillation.loss import LOSSES, magnitude
from rd_core.detectors.reverse_distillation.model import TeacherAndStudent
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings, TrainingSettings
from rd_core.features.cache import FeatureSource
from rd_core.files.training_state import TrainingState


class Sources(NamedTuple):
    """Features of the four sets of images; those with synthetic defects may be empty."""

    train: FeatureSource
    early_stop: FeatureSource
    synthetic_train: FeatureSource
    synthetic_early_stop: FeatureSource


class StudentDescent(Descent):
    """Of bottleneck, student and discriminators."""

    def __init__(
        self,
        model: TeacherAndStudent,
        settings: ReverseDistillationSettings,
        sources: Sources,
        report: Callable[[FitProgress], None],
    ) -> None:
        config = settings.training
        course = Course(
            total=config.total_steps(len(sources.train)),
            validate_every=config.validate_every,
            patience=config.patience,
            keep=config.keep,
            learning_rate=config.learning_rate,
            seconds=config.seconds,
        )
        order = batches(len(sources.train), config.batch_size, settings.seed)
        super().__init__((model.bottleneck, model.student, *model.discriminators), course, order, report)
        self.model, self.config, self.seed, self.sources = model, config, settings.seed, sources
        self._copies = np.random.default_rng(settings.seed)

    @cached_property
    def optimiser(self) -> torch.optim.Optimizer:
        """See `optimiser_for`."""
        return optimiser_for(self.model, self.config)

    def state(self, settings: dict[str, Any]) -> TrainingState:
        """See `Descent.state`."""
        state = super().state(settings)
        return replace(state, progress={**state.progress, "copies": self._copies.bit_generator.state})

    def restore(self, state: TrainingState) -> None:
        """See `Descent.restore`."""
        super().restore(state)
        self._copies.bit_generator.state = state.progress["copies"]

    def descend(self, indices: np.ndarray) -> float:
        """See `Descent.descend`."""
        rate = learning_rate_at(self.used, self.config)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        normal = self._features(self.sources.train, indices)
        shown = self._shown(normal.raw, indices)
        defective = normal if shown is normal.raw else self.model.features(shown, normal.counted)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss(normal, self.model(defective.standardised))
        value = self.finite(float(loss.detach()))
        loss.backward()
        drawn = self._random_numbers()
        for discriminator in self.model.discriminators:
            apart = discriminator.loss(normal.raw, shown, drawn, normal.counted)
            self.finite(float(apart.detach()))
            apart.backward()
        self.optimiser.step()
        return value

    def _shown(self, normal: tuple[Tensor, ...], indices: np.ndarray) -> tuple[Tensor, ...]:
        """Replace all but a random `clean_share` of the batch by copies with synthetic defects."""
        clean = math.ceil(self.config.clean_share * len(indices))
        if not len(self.sources.synthetic_train) or clean == len(indices):
            return normal
        copies = len(self.sources.synthetic_train) // len(self.sources.train)
        places = np.sort(self._copies.permutation(len(indices))[clean:])
        defective = self._features(
            self.sources.synthetic_train, indices[places] * copies + self._copies.integers(copies, size=len(places))
        )
        shown = tuple(f.clone() for f in normal)
        for whole, part in zip(shown, defective.raw, strict=True):
            whole[torch.from_numpy(places)] = part
        return shown

    def _random_numbers(self) -> torch.Generator:
        """Random numbers of this step only, so that a resumed training draws the same."""
        seed = int(np.random.default_rng((self.seed, self.step)).integers(2**63))
        return torch.Generator(self.model.device).manual_seed(seed)

    def _loss(self, targets: Features, outputs: tuple[Tensor, ...]) -> Tensor:
        loss = LOSSES[self.config.loss](targets.standardised, outputs, targets.counted)
        if self.config.magnitude_loss:
            apart = magnitude(targets.standardised, outputs, targets.counted)
            loss = loss + self.config.magnitude_loss * apart
        return loss

    def _features(self, source: FeatureSource, indices: np.ndarray) -> Features:
        return self.model.features(source.batch(indices.tolist()), source.counted(indices.tolist()))

    def validation_loss(self) -> float:
        """See `Descent.validation_loss`."""
        total = 0.0
        for start in range(0, len(self.sources.early_stop), self.config.batch_size):
            indices = np.arange(start, min(start + self.config.batch_size, len(self.sources.early_stop)))
            targets = self._features(self.sources.early_stop, indices)
            total += float(self._loss(targets, self.model(targets.standardised))) * len(indices)
        return total / len(self.sources.early_stop)


def learning_rate_at(progress: float, config: TrainingSettings) -> float:
    """The learning rate at a share of the training in [0, 1]."""
    if config.schedule == "constant":
        return config.learning_rate
    if progress < config.warm_up:
        share = progress / config.warm_up
        return config.learning_rate * (0.04 + 0.96 * (1 - math.cos(math.pi * share)) / 2)
    share = min(1.0, (progress - config.warm_up) / (1 - config.warm_up))
    return config.learning_rate * (1 + math.cos(math.pi * share)) / 2


def optimiser_for(model: TeacherAndStudent, config: TrainingSettings) -> torch.optim.Optimizer:
    """The optimiser of all trained parts. A group's `share` is the ratio of its rate to the schedule's."""
    networks = [part.parameters() for part in (model.bottleneck, model.student)]
    groups = [{"params": [p for own in networks for p in own if p.requires_grad], "share": 1.0}]
    for discriminator in model.discriminators:
        groups.append({"params": list(discriminator.parameters()), "share": config.discriminator_rate})
    if config.optimiser == "adam":
        return torch.optim.Adam(groups, lr=config.learning_rate, betas=config.betas, fused=True)
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )
