"""Recall by kind of defect, at a threshold fixed beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rd_core.metrics.decisions import check_threshold
from rd_core.metrics.image_metrics import check_scores
from rd_core.metrics.intervals import Interval, clopper_pearson


@dataclass(frozen=True)
class KindCount:
    """The images of one kind."""

    kind: str
    """as labelled, such as "scratch"; normal images have one too, such as "good" """
    flagged: int
    """images with a score above the threshold"""
    total: int
    """images"""
    share: Interval
    """flagged / total: the kind's recall, or the false-alarm rate of normal images"""


def flagged_by_kind(threshold: float, scores: ArrayLike, kinds: Sequence[str]) -> tuple[KindCount, ...]:
    """Count flagged images by kind, from scores float [n] and kinds [n]; a row a kind, in the order of their names.

    Raises ValueError for a threshold or scores that are not finite, or lengths that differ.
    """
    flagged = check_scores(scores, kinds) > check_threshold(threshold)
    labels = np.asarray(kinds, dtype=object)
    rows = []
    for kind in sorted(set(kinds)):
        chosen = flagged[labels == kind]
        hits = int(np.count_nonzero(chosen))
        rows.append(KindCount(kind, hits, len(chosen), clopper_pearson(hits, len(chosen))))
    return tuple(rows)
