"""Gradient descent with validations on held-out normals: how long it goes on, and which weights it keeps."""

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from rd_core.detectors.detector import FitProgress
from rd_core.detectors.finite_loss import finite_loss
from rd_core.files.training_state import TrainingState, optimiser_tensors, restore_optimiser


@dataclass(frozen=True)
class Course:
    """How long a descent goes on, and what remains of it."""

    total: int
    """steps, if nothing ends it before"""
    validate_every: int
    """steps between two validations; the last step is followed by one, too"""
    patience: int | None
    """validations without a new best that end it; None: none do"""
    keep: Literal["best", "last"]
    """the weights of the best validation, or those of the last step"""
    learning_rate: float
    """of the settings, which a descent that diverges asks to lower"""
    seconds: float | None = None
    """after which it ends; None: no limit"""


@dataclass(frozen=True)
class Validation:
    """One validation on the early-stop normals."""

    step: int
    train_loss: float
    """mean since the previous validation"""
    validation_loss: float
    seconds: float
    """since the first step"""


class Descent(ABC):
    """The steps of one training, up to the weights that are kept."""

    def __init__(
        self,
        trained: Sequence[nn.Module],
        course: Course,
        order: Iterator[np.ndarray],
        report: Callable[[FitProgress], None],
    ) -> None:
        """trained: what learns, and is in training mode except during validations. order: indices of the training
        images of each step."""
        self.course = course
        self.step = 0
        self.history: list[Validation] = []
        self.stopped: Literal["steps", "patience", "seconds"] = "steps"
        self._trained, self._order, self._report = trained, order, report
        self._best_weights: list[dict[str, Tensor]] = []
        self._began = time.monotonic()

    @property
    @abstractmethod
    def optimiser(self) -> torch.optim.Optimizer:
        """The same at every call."""

    @abstractmethod
    def descend(self, indices: np.ndarray) -> float:
        """Take one step on the training images with these indices, in training mode; returns the loss before it."""

    @abstractmethod
    def validation_loss(self) -> float:
        """The mean loss of the early-stop normals; called in eval mode and without gradients."""

    def run(self, validated: Callable[[], None] = lambda: None) -> None:
        """Train until steps, patience or time are used up, then restore the weights to keep.

        validated: called right after a step's validation, when `state` may be called.
        """
        for _ in range(self.step):  # of a descent that this one goes on with
            next(self._order)
        recent: list[float] = []
        self._set_mode(training=True)
        while self._continues():
            loss = self.descend(next(self._order))
            recent.append(loss)
            self.step += 1
            if self.step % self.course.validate_every == 0 or self.step == self.course.total:
                self._validate(recent)
                recent = []
                validated()
            self._report_progress(loss)
        if recent:
            self._validate(recent)
        if self.course.keep == "best":
            for part, weights in zip(self._trained, self._best_weights, strict=True):
                part.load_state_dict(weights)

    @property
    def best_step(self) -> int:
        """The step whose weights are kept; 0 before the first validation."""
        if self.course.keep == "last" or not self.history:
            return self.step
        return self.history[-1 - self._validations_since_best].step

    def state(self, settings: dict[str, Any]) -> TrainingState:
        """All that `restore` needs, right after a validation; `settings` identify the training."""
        progress = {
            "step": self.step,
            "history": [asdict(validation) for validation in self.history],
            "seconds": self._elapsed,
        }
        tensors = optimiser_tensors(self.optimiser)
        for kind, parts in (("now", [part.state_dict() for part in self._trained]), ("best", self._best_weights)):
            for number, weights in enumerate(parts):
                tensors |= {f"{kind}.{number}.{name}": tensor for name, tensor in weights.items()}
        return TrainingState(settings, progress, tensors)

    def restore(self, state: TrainingState) -> None:
        """Continue where another descent with the same settings and images was; `run` gives the same result."""
        self.step = state.progress["step"]
        self.history = [Validation(**validation) for validation in state.progress["history"]]
        self._began = time.monotonic() - state.progress["seconds"]
        restore_optimiser(self.optimiser, state.tensors)
        for number, part in enumerate(self._trained):
            part.load_state_dict(_below(f"now.{number}.", state.tensors))
        if self.course.keep == "best":
            self._best_weights = [_below(f"best.{number}.", state.tensors) for number in range(len(self._trained))]

    def finite(self, loss: float) -> float:
        """See `finite_loss`."""
        return finite_loss(loss, self.step, f"Train with a learning rate below {self.course.learning_rate}.")

    @property
    def used(self) -> float:
        """The used share of the course: of the steps, or of the time if that is larger."""
        share = self.step / self.course.total
        if self.course.seconds is not None:
            share = max(share, self._elapsed / self.course.seconds)
        return share

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    @property
    def _validations_since_best(self) -> int:
        losses = [validation.validation_loss for validation in self.history]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    def _continues(self) -> bool:
        course = self.course
        if self.step and course.seconds is not None and self._elapsed > course.seconds:
            self.stopped = "seconds"
            return False
        if course.patience is not None and self._validations_since_best >= course.patience:
            self.stopped = "patience"
            return False
        return self.step < course.total

    def _validate(self, recent: list[float]) -> None:
        self._set_mode(training=False)
        with torch.no_grad():
            value = self.finite(self.validation_loss())
        self._set_mode(training=True)
        self.history.append(Validation(self.step, float(np.mean(recent)), value, self._elapsed))
        if self.course.keep == "best" and not self._validations_since_best:
            self._best_weights = copy.deepcopy([part.state_dict() for part in self._trained])

    def _set_mode(self, *, training: bool) -> None:
        for part in self._trained:
            part.train(training)

    def _report_progress(self, loss: float) -> None:
        validation = self.history[-1].validation_loss if self.history else None
        self._report(FitProgress("steps", self.step, self.course.total, loss, validation, self._elapsed))


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
