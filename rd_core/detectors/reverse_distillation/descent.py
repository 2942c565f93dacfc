"""Gradient descent: steps, learning-rate schedule, validations on held-out normals, and early stop."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rd_core.detectors.batches import batches
from rd_core.detectors.detector import FitProgress
from rd_core.detectors.feature_detector import Features
from rd_core.detectors.finite_loss import finite_loss
from rd_core.detectors.reverse_distillation.loss import LOSSES, magnitude
from rd_core.detectors.reverse_distillation.model import TeacherAndStudent
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings, TrainingSettings
from rd_core.features.cache import FeatureSource
from rd_core.files.training_state import TrainingState, optimiser_tensors, restore_optimiser


@dataclass(frozen=True)
class Validation:
    """One validation on the early-stop normals."""

    step: int
    train_loss: float
    """mean since the previous validation"""
    validation_loss: float
    seconds: float
    """since the first step"""


class Sources(NamedTuple):
    """Features of the four sets of images; those with synthetic defects may be empty."""

    train: FeatureSource
    early_stop: FeatureSource
    synthetic_train: FeatureSource
    synthetic_early_stop: FeatureSource


class Descent:
    """The steps of one training, up to the weights that are kept."""

    def __init__(
        self,
        model: TeacherAndStudent,
        settings: ReverseDistillationSettings,
        sources: Sources,
        report: Callable[[FitProgress], None],
        keep: Callable[["Descent"], None] = lambda _: None,
    ) -> None:
        """keep: called after every validation, when `state` may be called."""
        self.model = model
        self.config = settings.training
        self.seed = settings.seed
        self.sources = sources
        self.report = report
        self.keep = keep
        self._copies = np.random.default_rng(settings.seed)
        self.total = self.config.total_steps(len(sources.train))
        self.history: list[Validation] = []
        self.step = 0
        self.best_step = 0
        self.stopped: Literal["steps", "patience", "seconds"] = "steps"
        self._best_loss = math.inf
        self._trained = (model.bottleneck, model.student, *model.discriminators)
        self._best_weights: list[dict[str, Tensor]] = []
        self._began = time.monotonic()

    @cached_property
    def _optimiser(self) -> torch.optim.Optimizer:
        return optimiser_for(self.model, self.config)

    def run(self) -> None:
        """Train until steps, patience or time are used up, then restore the weights to keep."""
        order = batches(len(self.sources.train), self.config.batch_size, self.seed)
        for _ in range(self.step):  # of a training that this one goes on with
            next(order)
        recent: list[float] = []
        self.model.train()
        while self._continues():
            rate = learning_rate_at(self._progress(), self.config)
            for group in self._optimiser.param_groups:
                group["lr"] = rate * group["share"]
            recent.append(self.descend(next(order)))
            self.step += 1
            if self.step % self.config.validate_every == 0 or self.step == self.total:
                self._validate(recent)
                recent = []
                self.keep(self)
            self._report_progress(recent[-1] if recent else self.history[-1].train_loss)
        if recent:
            self._validate(recent)
        if self.config.keep == "best":
            for part, weights in zip(self._trained, self._best_weights, strict=True):
                part.load_state_dict(weights)
        else:
            self.best_step = self.step

    def state(self, settings: dict[str, Any]) -> TrainingState:
        """All that `restore` needs, right after a validation; `settings` identify the training."""
        progress = {
            "step": self.step,
            "best_step": self.best_step,
            "best_loss": self._best_loss,
            "history": [asdict(validation) for validation in self.history],
            "seconds": time.monotonic() - self._began,
            "copies": self._copies.bit_generator.state,
        }
        tensors = optimiser_tensors(self._optimiser)
        for kind, parts in (("now", [part.state_dict() for part in self._trained]), ("best", self._best_weights)):
            for number, weights in enumerate(parts):
                tensors |= {f"{kind}.{number}.{name}": tensor for name, tensor in weights.items()}
        return TrainingState(settings, progress, tensors)

    def restore(self, state: TrainingState) -> None:
        """Continue where another descent with the same settings and sources was; `run` gives the same result."""
        progress = state.progress
        self.step, self.best_step, self._best_loss = (progress[name] for name in ("step", "best_step", "best_loss"))
        self.history = [Validation(**validation) for validation in progress["history"]]
        self._began = time.monotonic() - progress["seconds"]
        self._copies.bit_generator.state = progress["copies"]
        restore_optimiser(self._optimiser, state.tensors)
        for number, part in enumerate(self._trained):
            part.load_state_dict(_below(f"now.{number}.", state.tensors))
        if self.config.keep == "best":
            self._best_weights = [_below(f"best.{number}.", state.tensors) for number in range(len(self._trained))]

    def _progress(self) -> float:
        """The used share of the budget: of the steps, or of the time if that is larger."""
        share = self.step / self.total
        if self.config.seconds is not None:
            share = max(share, (time.monotonic() - self._began) / self.config.seconds)
        return share

    def _continues(self) -> bool:
        if self.step and self.config.seconds is not None and time.monotonic() - self._began > self.config.seconds:
            self.stopped = "seconds"
            return False
        validations_since_best = sum(validation.step > self.best_step for validation in self.history)
        if self.config.patience is not None and validations_since_best >= self.config.patience:
            self.stopped = "patience"
            return False
        return self.step < self.total

    def descend(self, indices: np.ndarray) -> float:
        """Take one step on the training images with these indices, in training mode; returns the loss before it."""
        normal = self._features(self.sources.train, indices)
        shown = self._shown(normal.raw, indices)
        defective = normal if shown is normal.raw else self.model.features(shown, normal.counted)
        self._optimiser.zero_grad(set_to_none=True)
        loss = self._loss(normal, self.model(defective.standardised))
        value = self._finite(float(loss.detach()))
        loss.backward()
        drawn = self._random_numbers()
        for discriminator in self.model.discriminators:
            apart = discriminator.loss(normal.raw, shown, drawn, normal.counted)
            self._finite(float(apart.detach()))
            apart.backward()
        self._optimiser.step()
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

    def _finite(self, loss: float) -> float:
        return finite_loss(loss, self.step, f"Train with a learning rate below {self.config.learning_rate}.")

    def _features(self, source: FeatureSource, indices: np.ndarray) -> Features:
        return self.model.features(source.batch(indices.tolist()), source.counted(indices.tolist()))

    def _validate(self, recent: list[float]) -> None:
        value = self._finite(self._validation_loss())
        seconds = time.monotonic() - self._began
        self.history.append(Validation(self.step, float(np.mean(recent)), value, seconds))
        if value < self._best_loss:
            self._best_loss, self.best_step = value, self.step
            if self.config.keep == "best":
                self._best_weights = copy.deepcopy([part.state_dict() for part in self._trained])

    @torch.no_grad()
    def _validation_loss(self) -> float:
        self.model.eval()
        total = 0.0
        for start in range(0, len(self.sources.early_stop), self.config.batch_size):
            indices = np.arange(start, min(start + self.config.batch_size, len(self.sources.early_stop)))
            targets = self._features(self.sources.early_stop, indices)
            total += float(self._loss(targets, self.model(targets.standardised))) * len(indices)
        self.model.train()
        return total / len(self.sources.early_stop)

    def _report_progress(self, loss: float) -> None:
        validation = self.history[-1].validation_loss if self.history else None
        seconds = time.monotonic() - self._began
        self.report(FitProgress("steps", self.step, self.total, loss, validation, seconds))


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


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
