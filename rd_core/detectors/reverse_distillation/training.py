"""Training of Reverse Distillation: the teacher's features once, then gradient descent."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.descent import Descent
from rd_core.detectors.detector import FitReport, FitRun, Normals
from rd_core.detectors.feature_sources import feature_sources
from rd_core.detectors.reverse_distillation.blend_fitting import fit_blend
from rd_core.detectors.reverse_distillation.cross_fitting import CrossFitting
from rd_core.detectors.reverse_distillation.descent import Sources, StudentDescent
from rd_core.detectors.reverse_distillation.mirroring import WithMirrored, may_be_mirrored
from rd_core.detectors.reverse_distillation.model import TeacherAndStudent
from rd_core.detectors.reverse_distillation.moments import fit_moments
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.features.cache import CachedFeatures
from rd_core.files.training_state import Resumption, TrainingState, settings_of
from rd_core.pictures.images import Images, pictures_in
from rd_core.pictures.synthetic_defects import SyntheticDefectImages


def fit(model: TeacherAndStudent, normals: Normals, run: FitRun) -> FitReport:
    """Train bottleneck, student and discriminators from their current weights; the standardisation is refitted.

    Reports after every micro-batch of the teacher's pass and every step. An interrupted fit resumes from its last
    state after repeating the teacher's pass and all folds, and with the same images, first weights and threads ends
    in the same weights. Raises as `Detector.fit`, and as `CrossFitting`.
    """
    settings = model.settings
    described = settings_of(model.name, settings, len(normals.train), len(normals.early_stop))
    described["cross"] = run.cross is not None
    resumption = run.resumption
    state = TrainingState.from_bytes(resumption.state, described) if resumption and resumption.state else None
    few = pictures_in(normals.train) < settings.training.mirrored_below
    mirrored = few and may_be_mirrored(model, normals.train, normals.early_stop, settings.seed)
    folds = CrossFitting(model, normals, run.cross, run.report) if run.cross else None
    with ExitStack() as resources:
        by_mirrored = _sources(model, normals, mirrored, folds, run, resources)
        sources = by_mirrored[mirrored]
        cached = isinstance(sources.train, CachedFeatures)
        if folds:
            folds.fit(by_mirrored)
            sources = folds.kept(sources)
        fit_moments(model, sources.train)
        descent = StudentDescent(model, settings, sources, run.report)
        if state:
            descent.restore(state)
        descent.run(_keeper(descent, resumption, described))
        fit_blend(model, sources.early_stop, sources.synthetic_early_stop)
    if folds:
        folds.judge(model)
    figures = {
        "steps": descent.step,
        "best_step": descent.best_step,
        "stopped_by": descent.stopped,
        "mirrored": mirrored,
        "cached": cached,
        "history": [asdict(validation) for validation in descent.history],
    }
    return FitReport(
        f"{descent.best_step} steps", figures | ({"folds": folds.count, "cross": folds.figures} if folds else {})
    )


def _keeper(descent: Descent, resumption: Resumption | None, settings: dict[str, Any]) -> Callable[[], None]:
    """A callback that keeps a descent's state when the last one is old enough."""
    if resumption is None:
        return lambda: None
    kept = time.monotonic()

    def keep() -> None:
        nonlocal kept
        if time.monotonic() - kept >= resumption.apart:
            resumption.keep(descent.state(settings).to_bytes())
            kept = time.monotonic()

    return keep


def _sources(
    model: TeacherAndStudent,
    normals: Normals,
    mirrored: bool,
    folds: CrossFitting | None,
    run: FitRun,
    resources: ExitStack,
) -> dict[bool, Sources]:
    """Features of training and early-stop images and of their copies with synthetic defects (none where the settings
    want none), by whether mirrored images are among the training images: as the detector or a fold wants it."""
    ways = [mirrored, *({*folds.mirrored} - {mirrored} if folds else ())]
    groups = folds.fold_of if folds else None
    sets = [images for way in ways for images in _image_sets(model.settings, normals, groups, mirrored=way)]
    sources = feature_sources(model, sets, run.report, resources, shared=run.shared)
    return {way: Sources(*sources[4 * at : 4 * at + 4]) for at, way in enumerate(ways)}


def _image_sets(
    settings: ReverseDistillationSettings, normals: Normals, groups: NDArray[np.int64] | None, *, mirrored: bool
) -> list[Images]:
    """In the order of Sources. groups: of the training images; a copy shows nothing of another group.

    Mirrored images share the training images' number of copies.
    """
    train, early_stop, seed = normals.train, normals.early_stop, settings.seed
    height, width = settings.image_height, settings.image_width
    copies = settings.training.synthetic_copies(len(train))
    shown = WithMirrored(train, seed) if mirrored else train
    donors = None if groups is None else np.resize(groups, len(shown))  # mirrored images have their image's group
    defective = [
        SyntheticDefectImages(shown, math.ceil(copies * len(train) / len(shown)), height, width, seed, donors),
        SyntheticDefectImages(early_stop, copies, height, width, seed + 1),
    ]
    return [shown, early_stop, *defective]
