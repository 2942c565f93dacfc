"""The images on which methods disagree most."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from rd_core.comparison.contender import Contender
from rd_core.comparison.judgement import Judgement


def most_disagreed(
    judgement: Judgement, contenders: Sequence[Contender], most: int = 12, among: NDArray[np.bool_] | None = None
) -> tuple[int, ...]:
    """Indices of the images that report, by falling spread of their ranks between the methods' typical models.

    Scores of two methods have no common unit, so each is replaced by its rank among the model's scores. among: bool
    [n], images that may be chosen; None: all. Images that all methods rank alike are left out, as are all with one
    method.
    """
    ranks = ranks_of(judgement, contenders)
    spread = ranks.max(axis=0) - ranks.min(axis=0)
    allowed = judgement.halves.reporting if among is None else judgement.halves.reporting & among
    keys = [image.key for image in judgement.images]
    places = [int(place) for place in np.flatnonzero(allowed) if spread[place] > 0]
    return tuple(sorted(places, key=lambda place: (-spread[place], keys[place]))[:most])


def ranks_of(judgement: Judgement, contenders: Sequence[Contender]) -> NDArray[np.float64]:
    """Of each method in the judgement's order, the rank in [0, 1] of each image's score among those that report, [m,
    n].

    0: the lowest, 1: the highest, ties in the middle. NaN for images that choose.
    """
    models = {(one.method, one.seed): one.scores for one in contenders}
    reporting = judgement.halves.reporting
    ranks = np.full((len(judgement.methods), len(reporting)), np.nan)
    last = max(1, int(reporting.sum()) - 1)
    for row, figures in zip(ranks, judgement.methods, strict=True):
        row[reporting] = (rankdata(models[figures.method, figures.typical][reporting]) - 1) / last
    return ranks
