"""The model card: everything one must know to trust, repeat or question a model version."""

from dataclasses import asdict
from typing import Any

import numpy as np

from rd_core.calibration.holdout import Split
from rd_core.detectors.reverse_distillation.training import FitResult
from tasks.training.calibration import Calibration
from tasks.training.normal_images import NormalImages
from tasks.worker.preprocessing import PREPROCESSING_VERSION
from tasks.worker.software import software

CARD_VERSION = 1


def model_card(
    request: Any,
    normals: NormalImages,
    split: Split,
    fitted: FitResult,
    calibration: Calibration,
) -> dict[str, Any]:
    """JSON values. `request` is the TrainingRequest; the card keeps what was calibrated by ascending score."""
    order = np.argsort(calibration.scores, kind="stable")
    return {
        "card_version": CARD_VERSION,
        "category": request.category,
        "preprocessing": PREPROCESSING_VERSION,
        "settings": {
            "white_level": request.white_level,
            "black_level": request.black_level,
            "max_pixels": request.max_pixels,
            "part_pattern": request.part_pattern,
            "alpha": request.alpha,
            "recipe": request.recipe,
            "teacher_weights": str(request.teacher_weights) if request.teacher_weights else None,
        },
        "model": fitted.model.config.to_dict(),
        "training": request.training_config.to_dict(),
        "data": {
            "digest": normals.data_digest,
            "train": [normals.keys[i] for i in split.train],
            "early_stop": [normals.keys[i] for i in split.early_stop],
            "calibration": [normals.keys[i] for i in split.calibration],
            "test": [normals.keys[i] for i in split.test],
            "mirrored": fitted.mirrored,
            "duplicates": list(normals.duplicates),
            "unreadable": dict(normals.unreadable),
        },
        "figures": {
            "training_seconds": fitted.seconds,
            "steps": fitted.steps,
            "best_step": fitted.best_step,
            "stopped_by": fitted.stopped,
            "history": [asdict(look) for look in fitted.history],
        },
        "threshold": asdict(calibration.threshold),
        "pixel_threshold": asdict(calibration.pixel_threshold),
        "calibration_scores": calibration.scores[order].tolist(),
        "calibration_statistics": {name: values[order].tolist() for name, values in calibration.statistics.items()},
        "software": software(),
    }
