"""Training of Reverse Distillation: the teacher's features once, then gradient descent."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from rd_core.detectors.detector import FitReport, FitRun, Normals
from rd_core.detectors.feature_detector import Gathering
from rd_core.detectors.reverse_distillation.blend_fitting import fit_blend
from rd_core.detectors.reverse_distillation.descent import Descent, Sources
from rd_core.detectors.reverse_distillation.mirroring import WithMirrored, may_be_mirrored
from rd_core.detectors.reverse_distillation.model import TeacherAndStudent
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.features.cache import CachedFeatures
from rd_core.features.cells import CellMoments
from rd_core.features.standardisation import Moments
from rd_core.files.training_state import Resumption, TrainingState, settings_of
from rd_core.pictures.images import Images
from rd_core.pictures.synthetic_defects import SyntheticDefectImages


def fit(model: TeacherAndStudent, normals: Normals, run: FitRun) -> FitReport:
    """Train bottleneck, student and discriminators from their current weights; the standardisation is refitted.

    Reports after every micro-batch of the teacher's pass and every step. An interrupted fit resumes from its last
    state after repeating the teacher's pass, and with the same images, first weights and threads ends in the same
    weights. Raises as `Detector.fit`.
    """
    settings = model.settings
    described = settings_of(model.name, settings, len(normals.train), len(normals.early_stop))
    resumption = run.resumption
    state = TrainingState.from_bytes(resumption.state, described) if resumption and resumption.state else None
    few = len(normals.train) < settings.training.mirrored_below
    mirrored = few and may_be_mirrored(model, normals.train, normals.early_stop, settings.seed)
    with ExitStack() as resources:
        sets = _image_sets(settings, normals, mirrored=mirrored)
        sources = Sources(*model.feature_sources(sets, run.report, resources, _gatherings(model)))
        descent = Descent(model, settings, sources, run.report, _keeper(resumption, described))
        if state:
            descent.restore(state)
        descent.run()
        fit_blend(model, sources.early_stop, sources.synthetic_early_stop)
    figures = {
        "steps": descent.step,
        "best_step": descent.best_step,
        "stopped_by": descent.stopped,
        "mirrored": mirrored,
        "cached": isinstance(sources.train, CachedFeatures),
        "history": [asdict(validation) for validation in descent.history],
    }
    return FitReport(f"{descent.best_step} steps", figures)


def _keeper(resumption: Resumption | None, settings: dict[str, Any]) -> Callable[[Descent], None]:
    """A callback that keeps a descent's state when the last one is old enough."""
    if resumption is None:
        return lambda _: None
    kept = time.monotonic()

    def keep(run: Descent) -> None:
        nonlocal kept
        if time.monotonic() - kept >= resumption.apart:
            resumption.keep(run.state(settings).to_bytes())
            kept = time.monotonic()

    return keep


def _image_sets(settings: ReverseDistillationSettings, normals: Normals, *, mirrored: bool) -> list[Images]:
    """Training and early-stop images, and copies of both with synthetic defects (none where the settings want none).

    Mirrored images share the training images' number of copies.
    """
    train, early_stop, seed = normals.train, normals.early_stop, settings.seed
    height, width = settings.image_height, settings.image_width
    copies = settings.training.synthetic_copies(len(train))
    shown = WithMirrored(train, seed) if mirrored else train
    defective = [
        SyntheticDefectImages(shown, math.ceil(copies * len(train) / len(shown)), height, width, seed),
        SyntheticDefectImages(early_stop, copies, height, width, seed + 1),
    ]
    return [shown, early_stop, *defective]


def _gatherings(model: TeacherAndStudent) -> list[Gathering]:
    """Accumulators over the training normals' features."""
    standardisation: list[Gathering] = [(Moments(), model.standardisation.fit)] if model.settings.standardise else []
    return standardisation + [
        (CellMoments(discriminator.side), discriminator.fit) for discriminator in model.discriminators
    ]
