"""Training: the teacher's features once, then bottleneck and student by gradient descent."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from rd_core.detectors.reverse_distillation.blend_fitting import fit_blend
from rd_core.detectors.reverse_distillation.descent import Descent, Look, Sources, TrainingProgress
from rd_core.detectors.reverse_distillation.mirroring import WithMirrored, may_be_mirrored
from rd_core.detectors.reverse_distillation.model import ReverseDistillation, build_model, default_device
from rd_core.detectors.reverse_distillation.settings import ModelConfig, TrainingConfig
from rd_core.errors import ConfigError, TooFewNormals
from rd_core.features.cache import (
    CachedFeatures,
    FeatureSource,
    StreamedFeatures,
    feature_bytes,
    stream_features,
)
from rd_core.features.cells import CellMoments
from rd_core.features.standardisation import Moments
from rd_core.files.training_state import Resumption, TrainingState, settings_of
from rd_core.pictures.images import Images
from rd_core.pictures.pseudo_anomalies import MarredImages


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
    mirrored: bool
    """whether the normals were trained on mirrored, too"""
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
    start: ReverseDistillation | None = None,
    resumption: Resumption | None = None,
    on_step: Callable[[TrainingProgress], None] | None = None,
    teacher_weights: Path | None = None,
    device: torch.device | None = None,
) -> FitResult:
    """Train a model on normal images.

    train, early_stop: disjoint sequences of decoded images, uint8 (H, W, 3) of any size, fetched by index
    from two threads at once and never all held. on_step: called after every micro-batch of the teacher's pass
    and every step; what it raises ends the training. The same seed, threads and images give the same weights.
    start: a model of the same settings, as `checkpoint.from_bytes` gives it, whose weights the training goes on
    from; it is left as it is. Its teacher is taken too, so `teacher_weights` is not read; the standardisation is
    fitted anew.
    resumption: a training that was interrupted goes on from its last state, and with the same images, `start` and
    threads it ends in the weights it would have had. The teacher's pass is made again.
    Raises TooFewNormals, CheckpointError for a state that is damaged or another training's, before any work,
    ConfigError for another start, TeacherUnavailable, TrainingDiverged, and whatever fetching an image raises.
    """
    if len(train) < 2 or len(early_stop) < 1:
        raise TooFewNormals(
            f"{len(train)} images to train and {len(early_stop)} to stop early are too few. Give at least 2 and 1."
        )
    began = time.monotonic()
    report = on_step or (lambda _: None)
    settings = settings_of(model_config, training_config, len(train), len(early_stop))
    state = TrainingState.from_bytes(resumption.state, settings) if resumption and resumption.state else None
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        torch.manual_seed(training_config.seed)
        model = _beginning(model_config, start, teacher_weights).to(device or default_device())
        few = len(train) < training_config.mirrored_below
        mirrored = few and may_be_mirrored(model, train, early_stop, training_config.seed)
    with ExitStack() as resources:
        sets = _image_sets(model_config, training_config, train, early_stop, mirrored=mirrored)
        cached = feature_bytes(model, sum(map(len, sets))) <= training_config.feature_cache_bytes
        sources = Sources(*_feature_sources(model, sets, cached, resources, report))
        run = Descent(model, training_config, sources, report, _keeper(resumption, settings))
        if state:
            run.restore(state)
        run.go()
        fit_blend(model, sources.early_stop, sources.marred_early_stop)
    return FitResult(
        model=model.eval(),
        history=tuple(run.history),
        steps=run.step,
        best_step=run.best_step,
        stopped=run.stopped,
        mirrored=mirrored,
        cached=cached,
        seconds=time.monotonic() - began,
    )


def _keeper(resumption: Resumption | None, settings: dict[str, Any]) -> Callable[[Descent], None]:
    """Keeps a descent's state, where that is wanted and the last one is old enough."""
    if resumption is None:
        return lambda _: None
    kept = time.monotonic()

    def keep(run: Descent) -> None:
        nonlocal kept
        if time.monotonic() - kept >= resumption.apart:
            resumption.keep(run.state(settings).to_bytes())
            kept = time.monotonic()

    return keep


def _beginning(
    model_config: ModelConfig, start: ReverseDistillation | None, teacher_weights: Path | None
) -> ReverseDistillation:
    """The model before the first step."""
    if start is None:
        return build_model(model_config, teacher_weights=teacher_weights)
    if start.config != model_config:
        raise ConfigError(
            f"the model to start from has the settings {start.config}, the one to train {model_config}: its weights "
            "would not fit or mean something else. Train from scratch, or with its settings."
        )
    model = build_model(model_config, pretrained=False)
    try:
        model.load_state_dict(start.state_dict())
    except RuntimeError as e:
        raise ConfigError(
            "the model to start from is one made ready for scoring, whose batch norms are folded away, so it cannot "
            "be trained. Give the one that checkpoint.from_bytes() read."
        ) from e
    return model


def _image_sets(
    model_config: ModelConfig, config: TrainingConfig, train: Images, early_stop: Images, *, mirrored: bool
) -> list[Images]:
    """Training images, early-stop images, and the marred copies of both (none without pseudo-anomalies). Mirrored
    images share the training images' copies with them."""
    height, width = model_config.image_height, model_config.image_width
    copies = config.marred_copies(len(train))
    shown = WithMirrored(train, config.seed) if mirrored else train
    marred = [
        MarredImages(shown, math.ceil(copies * len(train) / len(shown)), height, width, config.seed),
        MarredImages(early_stop, copies, height, width, config.seed + 1),
    ]
    return [shown, early_stop, *marred]


def _feature_sources(
    model: ReverseDistillation,
    image_sets: Sequence[Images],
    cached: bool,
    resources: ExitStack,
    report: Callable[[TrainingProgress], None],
) -> list[FeatureSource]:
    """A source for each set; on the way standardisation and whitening are fitted, to the first set alone."""
    began = time.monotonic()
    total = sum(map(len, image_sets)) if cached else len(image_sets[0])
    sources: list[FeatureSource] = []
    before = 0
    for number, images in enumerate(image_sets):
        cache = resources.enter_context(CachedFeatures(model, len(images))) if cached and len(images) else None
        sources.append(cache if cache is not None else StreamedFeatures(model, images))

        fits = _fits(model) if number == 0 else []
        if cache is None and not fits:
            continue
        for indices, features in stream_features(model, images):
            if cache is not None:
                cache.put(indices.start, features)
            for gathered, _ in fits:
                gathered.add(features)
            done = before + indices.stop
            report(TrainingProgress("features", done, total, None, None, time.monotonic() - began))
        for gathered, fit_to in fits:
            fit_to(gathered)
        before += len(images)
    return sources


def _fits(model: ReverseDistillation) -> list[tuple[Any, Callable[[Any], None]]]:
    """What to gather over the training normals, each with what is fitted to it."""
    fits: list[tuple[Any, Callable[[Any], None]]] = []
    if model.config.standardise:
        fits.append((Moments(), model.standardisation.fit))
    fits += [(CellMoments(one.side), one.fit) for one in model.discriminators]
    return fits
