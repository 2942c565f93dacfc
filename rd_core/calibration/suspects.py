"""Wrong labels among images called normal, found by their held-out scores.

Scores above the median are taken to fall off like an exponential law, which is heavier than most laws of scores are.
Its scale comes from the scores between the median and a high quantile, so a few defects at the top, whose number
is not known, cannot raise it. Scores that hardly one image of a sample would reach are not normal.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rd_core.calibration.robust_outliers import robust_z
from rd_core.calibration.spread import is_none, scaled, unscaled

MOST_SET_ASIDE = 0.1
"""largest share of the images that is set aside; one image always may be"""
FEWEST = 8
"""fewest images among which one can stand out"""
MOST_OUTLYING = 3.5
"""robust z of a score's logarithm that a normal image may have; Iglewicz and Hoaglin (1993)"""
EXPECTED = 0.1
"""number of normal images, of the whole sample, expected above the level"""
HIDDEN = 0.15
"""share of the highest scores whose values do not count, only that they are high"""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Suspects:
    """Images called normal that look like defects."""

    numbers: tuple[int, ...]
    """which of the images to set aside, highest score first"""
    more: int
    """further images that stand out as well, beyond the share that may be set aside"""
    level: float
    """score that normal images hardly ever exceed; infinite if that cannot be told"""
    z: _Floats
    """(n,) robust z of each score's logarithm among all"""


def suspicious(scores: ArrayLike, *, most: float = MOST_SET_ASIDE) -> Suspects:
    """Find wrong labels by held-out scores (n,) of images called normal, which one scale of scores has.

    An image is set aside whose score is above the level and whose logarithm has a robust z above 3.5; of more than a
    share `most`, or one, the highest. None of fewer than 8 images. Scores times a factor give the same. Raises
    ValueError for scores that are not finite.
    """
    values = np.asarray(scores, np.float64).ravel()
    logarithms = np.log(np.maximum(values, np.finfo(np.float32).tiny))
    z = robust_z(logarithms, np.zeros(len(values), np.int64))
    if len(values) < FEWEST:
        return Suspects((), 0, np.inf, z)
    order = np.argsort(values, kind="stable")
    level = rarely_exceeded(values[order], EXPECTED)
    standing_out = [int(i) for i in order[::-1] if values[i] > level and z[i] > MOST_OUTLYING]
    allowed = max(1, int(most * len(values)))
    return Suspects(tuple(standing_out[:allowed]), len(standing_out[allowed:]), level, z)


def rarely_exceeded(ordered: _Floats, expected: float) -> float:
    """Compute the score above which `expected` normal images of a sample are expected, from finite ascending scores
    (n,), n > 7, of which a few are of defects; infinite if that cannot be told.

    Scores above it are left out and it is computed again, until none is new.
    """
    (near,), exponent = scaled(ordered)
    hidden = max(1, round(HIDDEN * len(near)))
    level, above, found = np.inf, 0, -1
    while found < above <= len(near) // 4:
        found = above
        level = _exponential_level(near[: len(near) - found], hidden, expected)
        above = int(np.count_nonzero(near > level))
    return unscaled(level, exponent)


def _exponential_level(ordered: _Floats, hidden: int, expected: float) -> float:
    """The score that `expected` of ascending scores (n,) exceed, if their upper half is exponential.

    By the predictive distribution with Jeffreys' prior, given all but the values of the `hidden` highest scores.
    """
    n = len(ordered)
    middle = float(np.median(ordered))
    seen = ordered[n - n // 2 : n - hidden]
    total = float((seen - middle).sum() + hidden * (seen[-1] - middle))
    if is_none(total / len(seen), ordered):
        return np.inf
    return middle + total * ((n / 2 / expected) ** (1 / len(seen)) - 1)
