"""The card of a newly fitted and calibrated model."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np

from rd_core.calibration.holdout import Split
from rd_core.calibration.threshold import proven_rate
from rd_core.detectors.training import Fitted
from rd_core.engines.measurement import EngineChoice
from rd_core.pictures.image_view import ImageView
from storage.models import card
from tasks.training.calibration import Calibration
from tasks.training.normal_images import NormalImages
from tasks.worker.preprocessing import PREPROCESSING_VERSION
from tasks.worker.software import software


def model_card(
    request: Any,
    normals: NormalImages,
    split: Split,
    fitted: Fitted,
    calibration: Calibration,
    engine: EngineChoice,
    *,
    version: str,
    created_at: datetime,
    run_id: str,
    retraining: card.Retraining | None,
    weights: card.WeightsFile,
) -> card.ModelCard:
    """`request`: the TrainingRequest; calibration is stored by ascending score."""
    detector, report = fitted.detector, fitted.report
    view: ImageView = request.view
    map_height, map_width = (side // detector.settings.map_stride for side in view.size)
    return card.ModelCard(
        category=request.category,
        version=version,
        created_at=created_at,
        run_id=run_id,
        method=card.Method(
            detector.name,
            detector.settings.to_dict(),
            teacher_weights=str(request.teacher_weights) if request.teacher_weights else None,
            choice=request.method_choice,
        ),
        fit=card.Fit(report.summary, report.figures, report.seconds),
        preprocessing=card.Preprocessing(
            PREPROCESSING_VERSION,
            view.to_dict(),
            request.white_level,
            request.black_level,
            request.max_pixels,
            request.size_choice,
        ),
        maps=card.Maps(map_height, map_width, detector.map_values, detector.score_is_map_maximum),
        threshold=card.ImageThreshold(**asdict(calibration.threshold)),
        pixel_threshold=card.PixelThreshold(**asdict(calibration.pixel_threshold)),
        calibration=_calibration(calibration, fitted, cross=not split.calibration),
        images=_images(request.part_pattern, normals, split, calibration),
        retraining=retraining,
        engine=card.Engine(**asdict(engine)),
        weights=weights,
        software=software(),
    )


def _calibration(calibration: Calibration, fitted: Fitted, *, cross: bool) -> card.Calibration:
    order = np.argsort(calibration.scores, kind="stable")
    statistics = {name: tuple(values[order].tolist()) for name, values in calibration.statistics.items()}
    folds = fitted.report.figures.get("folds") if cross else None
    return card.Calibration(
        tuple(calibration.scores[order].tolist()),
        statistics,
        method=card.CROSS if cross else card.SPLIT,
        folds=folds,
        parts=calibration.parts,
        proven=proven_rate(calibration.parts, calibration.threshold.alpha, cross=cross, folds=folds),
        above=calibration.above,
    )


def _images(
    part_pattern: str | None, normals: NormalImages, split: Split, calibration: Calibration
) -> card.ImageSets:
    train, early_stop, apart, test = (
        tuple(normals.keys[i] for i in chosen if normals.keys[i] not in calibration.set_aside)
        for chosen in (split.train, split.early_stop, split.calibration, split.test)
    )
    return card.ImageSets(
        normals.data_digest,
        part_pattern,
        train,
        early_stop,
        apart or tuple(sorted((*train, *early_stop))),
        test,
        duplicates=tuple(normals.duplicates),
        unreadable=dict(normals.unreadable),
        set_aside=calibration.set_aside,
        unlabelled=normals.unlabelled,
    )
