"""Training: the teacher's features once, then bottleneck and student by gradient descent."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rd_core.blend import best_share, squared_distance
from rd_core.config import ModelConfig, TrainingConfig
from rd_core.errors import TooFewNormals, TrainingDiverged
from rd_core.loss import LOSSES, cosine_distance
from rd_core.model import MICRO_BATCH, ReverseDistillation, build_model, default_device
from rd_core.pseudo_anomalies import MarredImages
from rd_core.teacher_features import (
    CachedFeatures,
    FeatureSource,
    Images,
    StreamedFeatures,
    feature_bytes,
    stream_features,
)

EVEN_SHARE = 0.5


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training is."""

    phase: Literal["features", "steps"]
    """the teacher's pass over the images, or the steps of gradient descent"""
    done: int
    """images, or steps"""
    total: int
    """likewise"""
    loss: float | None
    """of the last step; None in the first phase"""
    validation_loss: float | None
    """of the last look at the early-stop normals; None before it"""
    seconds: float
    """since the phase began"""


@dataclass(frozen=True)
class Look:
    """One look at the early-stop normals."""

    step: int
    train_loss: float
    """mean since the look before"""
    validation_loss: float
    seconds: float
    """since the first step"""


@dataclass(frozen=True)
class FitResult:
    """A trained model and how it came about."""

    model: ReverseDistillation
    """in eval mode, on the device it was trained on"""
    history: tuple[Look, ...]
    steps: int
    """steps made; fewer than asked for when it stopped early or ran out of time"""
    best_step: int
    """the step whose weights the model has"""
    stopped: Literal["steps", "patience", "seconds"]
    """what ended it"""
    cached: bool
    """whether the features fitted into the cache"""
    seconds: float
    """all of it, the teacher's pass included"""


def fit(
    model_config: ModelConfig,
    training_config: TrainingConfig,
    train: Images,
    early_stop: Images,
    *,
    on_step: Callable[[TrainingProgress], None] | None = None,
    teacher_weights: Path | None = None,
    device: torch.device | None = None,
) -> FitResult:
    """Train a model on normal images.

    train, early_stop: disjoint sequences of decoded images, uint8 (H, W, 3) of any size, fetched by index
    from two threads at once and never all held. on_step: called after every micro-batch of the teacher's pass
    and every step; what it raises ends the training. The same seed, threads and images give the same weights.
    Raises TooFewNormals, TeacherUnavailable, TrainingDiverged, and whatever fetching an image raises.
    """
    if len(train) < 2 or len(early_stop) < 1:
        raise TooFewNormals(
            f"{len(train)} images to train and {len(early_stop)} to stop early are too few. Give at least 2 and 1."
        )
    began = time.monotonic()
    report = on_step or (lambda _: None)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        torch.manual_seed(training_config.seed)
        model = build_model(model_config, teacher_weights=teacher_weights).to(device or default_device())
    with ExitStack() as resources:
        sets = _image_sets(model_config, training_config, train, early_stop)
        cached = feature_bytes(model, sum(map(len, sets))) <= training_config.feature_cache_bytes
        sources = _Sources(*_feature_sources(model, sets, cached, resources, report))
        run = _Run(model, training_config, sources, report)
        run.go()
        if model_config.magnitude:
            fit_blend(model, sources.early_stop, sources.marred_early_stop)
    return FitResult(
        model=model.eval(),
        history=tuple(run.history),
        steps=run.step,
        best_step=run.best_step,
        stopped=run.stopped,
        cached=cached,
        seconds=time.monotonic() - began,
    )


def learning_rate_at(progress: float, config: TrainingConfig) -> float:
    """The rate at a share of the training in [0, 1]."""
    if config.schedule == "constant":
        return config.learning_rate
    if progress < config.warm_up:
        share = progress / config.warm_up
        return config.learning_rate * (0.04 + 0.96 * (1 - math.cos(math.pi * share)) / 2)
    share = min(1.0, (progress - config.warm_up) / (1 - config.warm_up))
    return config.learning_rate * (1 + math.cos(math.pi * share)) / 2


def batches(count: int, size: int, seed: int) -> Iterator[np.ndarray]:
    """Endless batches of indices: every image once an epoch, in an order drawn from `seed`.

    An epoch's rest below two images is left out: batch norm needs two.
    """
    order = np.random.default_rng(seed)
    size = min(size, count)
    while True:
        shuffled = order.permutation(count)
        for start in range(0, count, size):
            indices = shuffled[start : start + size]
            if len(indices) >= 2:
                yield np.sort(indices)  # reads of the cache go forward


def _image_sets(model_config: ModelConfig, config: TrainingConfig, train: Images, early_stop: Images) -> list[Images]:
    """Training images, early-stop images, and the marred copies of both (none without pseudo-anomalies)."""
    height, width = model_config.image_height, model_config.image_width
    marred = [
        MarredImages(images, config.pseudo_anomalies, height, width, seed)
        for seed, images in ((config.seed, train), (config.seed + 1, early_stop))
    ]
    return [train, early_stop, *marred]


def _feature_sources(
    model: ReverseDistillation,
    image_sets: Sequence[Images],
    cached: bool,
    resources: ExitStack,
    report: Callable[[TrainingProgress], None],
) -> list[FeatureSource]:
    """A source for each set; on the way the standardisation is fitted, on the first alone."""
    began = time.monotonic()
    total = sum(map(len, image_sets)) if cached else len(image_sets[0])
    sources: list[FeatureSource] = []
    before = 0
    for number, images in enumerate(image_sets):
        cache = resources.enter_context(CachedFeatures(model, len(images))) if cached and len(images) else None
        sources.append(cache if cache is not None else StreamedFeatures(model, images))

        def on_image(done: int, before: int = before) -> None:
            report(TrainingProgress("features", before + done, total, None, None, time.monotonic() - began))

        fits = number == 0 and model.config.standardise
        if cache is not None or fits:
            moments = stream_features(model, images, keep=cache, on_image=on_image)
            before += len(images)
            if fits:
                model.standardisation.fit(moments)
    return sources


@torch.no_grad()
def fit_blend(model: ReverseDistillation, normal: FeatureSource, marred: FeatureSource) -> None:
    """Weigh direction and magnitude by the early-stop normals and their marred copies (see `rd_core.blend`).

    Half way between the share that tells those apart best and an even one: made-up defects are a sample, and the
    student was trained on their like. Without marred copies the share is even.
    """
    model.eval()
    parts = [_part_maps(model, source) for source in (normal, marred) if len(source)]
    peaks = parts[0].amax(dim=(3, 4)).mean(dim=0)  # (kinds, stages)
    stages = peaks.shape[1]
    weighed = [(maps / (stages * peaks[:, :, None, None])).sum(dim=2) for maps in parts]
    share = (best_share(*weighed) + EVEN_SHARE) / 2 if len(weighed) == 2 else EVEN_SHARE
    model.blend.set(share, peaks[0].float(), peaks[1].float())


def _part_maps(model: ReverseDistillation, source: FeatureSource) -> Tensor:
    """Smoothed maps of direction and magnitude by stage, (N, 2, stages, H/4, W/4): every fourth pixel will do."""
    assembly, stages = model.assembly, len(model.config.map_stages)
    found = []
    for start in range(0, len(source), MICRO_BATCH):
        indices = range(start, min(start + MICRO_BATCH, len(source)))
        raw = model.standardisation(tuple(f.to(model.device) for f in source.batch(indices)))
        pairs = list(zip(model.counting(raw), model.counting(model(raw)), strict=True))
        kinds = [[distance(t, s) for t, s in pairs] for distance in (cosine_distance, squared_distance)]
        maps = [[assembly.of_stage(k, kind[k])[:, 2::4, 2::4] for k in range(stages)] for kind in kinds]
        found.append(torch.stack([torch.stack(of_kind, dim=1) for of_kind in maps], dim=1))
    return torch.cat(found)


class _Sources(NamedTuple):
    """Features of the four sets of images; the marred ones are empty without pseudo-anomalies."""

    train: FeatureSource
    early_stop: FeatureSource
    marred_train: FeatureSource
    marred_early_stop: FeatureSource


class _Run:
    """The steps of one training."""

    def __init__(
        self,
        model: ReverseDistillation,
        config: TrainingConfig,
        sources: _Sources,
        report: Callable[[TrainingProgress], None],
    ) -> None:
        self.model = model
        self.config = config
        self.sources = sources
        self.report = report
        self._copies = np.random.default_rng(config.seed)
        self.total = config.total_steps(len(sources.train))
        self.history: list[Look] = []
        self.step = 0
        self.best_step = 0
        self.stopped: Literal["steps", "patience", "seconds"] = "steps"
        self._best_loss = math.inf
        self._trained = (model.bottleneck, model.student)
        self._best_weights: list[dict[str, Tensor]] = []
        self._began = time.monotonic()

    def go(self) -> None:
        """Train until the steps, the patience or the time is used up, then take the weights to keep."""
        optimiser = _optimiser(self.model, self.config)
        order = batches(len(self.sources.train), self.config.batch_size, self.config.seed)
        recent: list[float] = []
        self.model.train()
        while self._goes_on():
            for group in optimiser.param_groups:
                group["lr"] = learning_rate_at(self._progress(), self.config)
            recent.append(self._descend(optimiser, next(order)))
            self.step += 1
            if self.step % self.config.validate_every == 0 or self.step == self.total:
                self._look(recent)
                recent = []
            self._tell(recent[-1] if recent else self.history[-1].train_loss)
        if recent:
            self._look(recent)
        if self.config.keep == "best":
            for part, weights in zip(self._trained, self._best_weights, strict=True):
                part.load_state_dict(weights)
        else:
            self.best_step = self.step

    def _progress(self) -> float:
        """The share of the budget that is used: of the steps, or of the time if that is nearer its end."""
        share = self.step / self.total
        if self.config.seconds is not None:
            share = max(share, (time.monotonic() - self._began) / self.config.seconds)
        return share

    def _goes_on(self) -> bool:
        if self.step and self.config.seconds is not None and time.monotonic() - self._began > self.config.seconds:
            self.stopped = "seconds"
            return False
        looks_since_best = sum(look.step > self.best_step for look in self.history)
        if self.config.patience is not None and looks_since_best >= self.config.patience:
            self.stopped = "patience"
            return False
        return self.step < self.total

    def _descend(self, optimiser: torch.optim.Optimizer, indices: np.ndarray) -> float:
        targets = self._targets(self.sources.train, indices)
        optimiser.zero_grad(set_to_none=True)
        loss = self._loss(targets, self.model(self._inputs(targets, indices)))
        value = self._finite(float(loss.detach()))
        loss.backward()
        optimiser.step()
        return value

    def _inputs(self, targets: tuple[Tensor, ...], indices: np.ndarray) -> tuple[Tensor, ...]:
        """What the student is shown: the first of the batch as they are, of the others a marred copy."""
        copies = self.config.pseudo_anomalies
        clean = math.ceil(self.config.clean_share * len(indices)) if copies else len(indices)
        if clean == len(indices):
            return targets
        shown = indices[clean:]
        marred = self._targets(
            self.sources.marred_train, shown * copies + self._copies.integers(copies, size=len(shown))
        )
        return tuple(torch.cat([t[:clean], m]) for t, m in zip(targets, marred, strict=True))

    def _loss(self, targets: tuple[Tensor, ...], found: tuple[Tensor, ...]) -> Tensor:
        loss = LOSSES[self.config.loss](targets, found)
        if self.config.magnitude_loss:
            distances = [F.smooth_l1_loss(s, t) for t, s in zip(targets, found, strict=True)]
            loss = loss + self.config.magnitude_loss * torch.stack(distances).sum()
        return loss

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"the loss was {loss} near step {self.step}, so there is no model. "
                f"Train with a learning rate below {self.config.learning_rate}."
            )
        return loss

    def _targets(self, source: FeatureSource, indices: np.ndarray) -> tuple[Tensor, ...]:
        features = source.batch(indices.tolist())
        return self.model.standardisation(tuple(f.to(self.model.device) for f in features))

    def _look(self, recent: list[float]) -> None:
        value = self._finite(self._validation_loss())
        seconds = time.monotonic() - self._began
        self.history.append(Look(self.step, float(np.mean(recent)), value, seconds))
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
            targets = self._targets(self.sources.early_stop, indices)
            total += float(self._loss(targets, self.model(targets))) * len(indices)
        self.model.train()
        return total / len(self.sources.early_stop)

    def _tell(self, loss: float) -> None:
        validation = self.history[-1].validation_loss if self.history else None
        seconds = time.monotonic() - self._began
        self.report(TrainingProgress("steps", self.step, self.total, loss, validation, seconds))


def _optimiser(model: ReverseDistillation, config: TrainingConfig) -> torch.optim.Optimizer:
    weights = [p for p in model.parameters() if p.requires_grad]
    if config.optimiser == "adam":
        return torch.optim.Adam(weights, lr=config.learning_rate, betas=config.betas, fused=True)
    return torch.optim.AdamW(
        weights, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )
