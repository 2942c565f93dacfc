"""Reverse Distillation trained on small images, in one call."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rd_core.detectors.detector import Detector, FitProgress, FitRun, Normals
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings, recipe
from rd_core.detectors.training import Fitted, train
from rd_core.files.training_state import Resumption
from rd_core.pictures.images import Images
from tests.rd_core.striped_images import SIZE


def small(name: str = "robust", **overrides: Any) -> ReverseDistillationSettings:
    """A recipe for images of SIZE pixels a side."""
    return recipe(name, **{"image_height": SIZE, "image_width": SIZE, **overrides})


def fit(
    settings: ReverseDistillationSettings,
    images: Images,
    early_stop: Images,
    *,
    on_step: Callable[[FitProgress], None] = lambda _: None,
    resumption: Resumption | None = None,
    start: Detector | None = None,
    teacher_weights: Path | None = None,
) -> Fitted:
    """See `rd_core.detectors.training.train`."""
    run, normals = FitRun(on_step, resumption), Normals(images, early_stop)
    return train(settings.method, settings, normals, run, start=start, teacher_weights=teacher_weights)
