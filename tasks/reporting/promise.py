"""The promise of a model's threshold, from its card."""

from rd_core.calibration.threshold import normals_needed
from rd_core.metrics.intervals import clopper_pearson
from reports.promise import Promise
from storage.models.card import ModelCard


def promise_of(card: ModelCard) -> Promise:
    """What the card's threshold promises, what its held-out scores prove, and how many of them lie above it."""
    held, threshold = card.calibration, card.threshold
    realised = clopper_pearson(held.above, threshold.n)
    return Promise(
        alpha=threshold.alpha,
        proven=held.proven,
        above=held.above,
        n=threshold.n,
        parts=len(held.parts),
        needed=normals_needed(threshold.alpha),
        low=realised.low,
        high=realised.high,
        extrapolated=threshold.extrapolated,
        method=held.method,
        folds=held.folds,
    )
