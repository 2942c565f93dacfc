"""Another alpha for a model version, from the held-out scores that its card has: no image is read."""

import hashlib
import json
from dataclasses import asdict, replace
from datetime import datetime

import numpy as np

from rd_core.calibration.threshold import Threshold, calibrate, proven_rate
from storage.models import card as cards
from storage.models import models
from storage.models.card import ModelCard
from tasks.recalibration.order import UNLABELLED, RecalibrateOrder
from tasks.worker.software import software


def with_alpha(card: ModelCard, order: RecalibrateOrder, *, run_id: str, now: datetime) -> ModelCard:
    """The card of a new version that differs in its threshold for alpha, which the same scores set.

    Raises as rd_core.calibration.threshold.calibrate.
    """
    held = card.calibration
    threshold = calibrate(held.scores, order.alpha, extrapolate=order.extrapolate)
    proven = proven_rate(held.parts, order.alpha, cross=held.method == cards.CROSS, folds=held.folds)
    digest = _digest(card, threshold)
    return replace(
        card,
        version=models.new_version(digest.encode(), now),
        created_at=now,
        run_id=run_id,
        threshold=cards.ImageThreshold(**asdict(threshold)),
        calibration=replace(
            held,
            proven=held.proven if held.method == UNLABELLED else proven,
            above=int(np.count_nonzero(np.asarray(held.scores) > threshold.value)),
        ),
        weights=replace(card.weights, version=card.weights_version),
        software=software(),
        recalibration=cards.Recalibration(
            replaces=order.version,
            first_day=card.recalibration.first_day if card.recalibration else None,
            last_day=card.recalibration.last_day if card.recalibration else None,
            considered=threshold.n,
            left_out={},
            sealed=0,
            defect_share=None,
            digest=digest,
        ),
    )


def _digest(card: ModelCard, threshold: Threshold) -> str:
    text = json.dumps([card.version, card.weights.sha256, asdict(threshold)])
    return hashlib.sha256(text.encode()).hexdigest()
