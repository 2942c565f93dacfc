"""Image metrics that need no threshold: how well scores separate anomalous from normal images."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rd_core.metrics import ranking
from rd_core.metrics.ranking import OracleF1, Ranking


def image_auroc(scores: ArrayLike, is_anomalous: ArrayLike) -> float:
    """AUROC in [0, 1] of scores float [n] and labels bool [n]; ties count half. NaN unless both labels occur.

    Raises ValueError, like every function here, for scores that are not finite, labels that are not bool, or lengths
    that differ.
    """
    return float(ranking.auroc(image_ranking(scores, is_anomalous)))


def image_average_precision(scores: ArrayLike, is_anomalous: ArrayLike) -> float:
    """Average precision in [0, 1]. Chance reaches the share of anomalous images, so compare on one test set only.

    NaN and errors as image_auroc.
    """
    return float(ranking.average_precision(image_ranking(scores, is_anomalous)))


def image_f1_max(scores: ArrayLike, is_anomalous: ArrayLike) -> OracleF1:
    """The best F1 over all thresholds, chosen with the labels (an oracle). NaN and errors as image_auroc."""
    return ranking.oracle_f1(image_ranking(scores, is_anomalous))


def image_ranking(scores: ArrayLike, is_anomalous: ArrayLike) -> Ranking:
    """Count normal and anomalous images at each of the k distinct scores."""
    values, labels = check_images(scores, is_anomalous)
    distinct, place = np.unique(values, return_inverse=True)
    normal, anomalous = (np.bincount(place[chosen], minlength=len(distinct)) for chosen in (~labels, labels))
    return Ranking(distinct, normal, anomalous)


def check_scores(scores: ArrayLike, other: Sequence[object] | NDArray[np.generic]) -> NDArray[np.float64]:
    """Scores as float64 [n]. Raises ValueError unless they are finite and as many as `other`."""
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (len(other),):
        raise ValueError(f"scores of shape {values.shape} do not match {len(other)} images. Give one score an image.")
    if not np.isfinite(values).all():
        raise ValueError(
            f"{np.count_nonzero(~np.isfinite(values))} of {len(values)} scores are not finite, so they cannot be "
            "ranked. Leave out images that could not be scored."
        )
    return values


def check_images(scores: ArrayLike, is_anomalous: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores as float64 [n] and labels as bool [n]. Raises ValueError for others."""
    labels = np.asarray(is_anomalous)
    if labels.ndim != 1 or (labels.dtype != np.bool_ and labels.size):
        raise ValueError(
            f"labels of shape {labels.shape} and dtype {labels.dtype} could pass an unlabelled image as normal. "
            "Give bool [n], of labelled images only."
        )
    return check_scores(scores, labels), labels.astype(np.bool_)
