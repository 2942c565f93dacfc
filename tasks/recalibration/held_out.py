"""Another alpha for a model version, from the held-out scores that its card has: no image is read."""

import hashlib
import json
from dataclasses import asdict, replace
from datetime import datetime

import numpy as np

from rd_core.calibration.threshold import Threshold, calibrate, cross_proven_rate, proven_rate
from rd_core.errors import TooFewNormals
from storage.models import card as cards
from storage.models import models
from storage.models.card import ModelCard
from tasks.recalibration.order import UNLABELLED, RecalibrateOrder
from tasks.worker.software import software


def with_alpha(card: ModelCard, order: RecalibrateOrder, *, run_id: str, now: datetime) -> ModelCard:
    """The card of a new version that differs in its threshold for alpha, which the same scores set.

    Raises TooFewNormals where the threshold would have to be extrapolated and the order forbids it.
    """
    threshold = calibrate(card.calibration.scores, order.alpha)
    if threshold.extrapolated and not order.extrapolate:
        raise TooFewNormals(
            f"{threshold.n} held-out scores of {card.category} prove a false-alarm rate of "
            f"{threshold.smallest_honest_alpha:.3g}, not {order.alpha:g}, and extrapolate = false, so model "
            f"{order.version} keeps its threshold. Choose a larger alpha, or calibrate on more images."
        )
    digest = _digest(card, threshold)
    return replace(
        card,
        version=models.new_version(digest.encode(), now),
        created_at=now,
        run_id=run_id,
        threshold=cards.ImageThreshold(**asdict(threshold)),
        calibration=replace(
            card.calibration,
            proven=_proven(card.calibration, threshold),
            above=int(np.count_nonzero(np.asarray(card.calibration.scores) > threshold.value)),
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


def _proven(held: cards.Calibration, threshold: Threshold) -> float:
    if held.method == UNLABELLED:
        return held.proven
    if held.method == cards.CROSS:
        return cross_proven_rate(threshold.n, threshold.alpha, held.folds)
    return proven_rate(threshold.n, threshold.alpha)


def _digest(card: ModelCard, threshold: Threshold) -> str:
    text = json.dumps([card.version, card.weights.sha256, asdict(threshold)])
    return hashlib.sha256(text.encode()).hexdigest()
