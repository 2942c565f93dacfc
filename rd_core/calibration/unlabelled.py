"""A threshold from unlabelled production scores, of which a few are of defects.

The highest scores are taken for defects and left out; the rest calibrates as usual. How many is the larger of two
counts. Scores that normal ones would hardly reach, going by the upper half of these scores alone. And the alarms in
excess of what normal images give, going by a reference of held-out scores mapped to the median and interquartile
range of these scores: normal scores may have moved and stretched, but kept their law's shape.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rd_core.calibration.spread import at_least, is_none, scaled, unscaled
from rd_core.calibration.suspects import rarely_exceeded
from rd_core.calibration.threshold import Threshold, calibrate
from rd_core.errors import TooFewNormals

MOST_DEFECTS = 0.1
"""largest share of the scores that is left out, so the largest share of defects that a threshold withstands"""
FEWEST_REFERENCE = 10
"""held-out scores whose quartiles can be taken"""
RARE = 0.1
"""normal images that may be left out by the scores alone, as a share of the false alarms promised"""
CONFIDENCE = 0.9
"""with which the reference's alarm rate is at most what is counted as normal"""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Unlabelled:
    """A threshold from scores without labels."""

    threshold: Threshold
    """from the images taken for normal; its interval does not cover a wrong guess of the defects"""
    left_out: int
    """highest scores taken for defects"""
    defects: float
    """their share, an estimate of the share of defects that stand out"""
    withstands: float
    """largest share of defects that the threshold withstands"""


def fewest_scores(alpha: float) -> int:
    """The number of unlabelled scores that a threshold for `alpha` needs: 200 for 0.01."""
    return max(math.ceil(2 / alpha - 1e-9), 2 * FEWEST_REFERENCE)


def calibrate_unlabelled(
    scores: ArrayLike, alpha: float, *, reference: ArrayLike, most: float = MOST_DEFECTS
) -> Unlabelled:
    """Compute a threshold for a false-alarm rate of at most `alpha` from unlabelled scores (n,), of which up to a
    share `most` are of defects.

    reference: scores (m,) of held-out normals by the same weights, earlier. Raises TooFewNormals below
    `fewest_scores(alpha)` scores or 10 of the reference, ConfigError and ValueError as `calibrate`.
    """
    known = np.sort(np.asarray(reference, np.float64).ravel())
    ordered = np.sort(np.asarray(scores, np.float64).ravel())
    everything = calibrate(ordered, alpha)  # refuses what no threshold can be made of
    if len(ordered) < fewest_scores(alpha) or len(known) < FEWEST_REFERENCE:
        raise TooFewNormals(
            f"{len(ordered)} unlabelled scores and {len(known)} held-out ones are too few for a threshold at alpha "
            f"{alpha:g}: defects among them cannot be told from normal images. Take at least {fewest_scores(alpha)}, "
            f"and {FEWEST_REFERENCE} held-out ones, or calibrate on labelled normals."
        )
    left_out = _likely_defects(ordered, known, alpha, int(most * len(ordered)))
    threshold = calibrate(ordered[: len(ordered) - left_out], alpha) if left_out else everything
    return Unlabelled(threshold, left_out, left_out / len(ordered), most)


def _likely_defects(ordered: _Floats, reference: _Floats, alpha: float, most: int) -> int:
    """Each guess changes the quartiles that the reference is mapped to, until a guess repeats itself."""
    n = len(ordered)
    alone = int(np.count_nonzero(ordered > rarely_exceeded(ordered, RARE * alpha * n)))
    limit, rate = _known_alarms(reference, alpha)
    left_out, before = min(alone, most), -1
    while left_out > before:
        before = left_out
        moved = _moved(limit, reference, ordered[: n - left_out])
        excess = (np.count_nonzero(ordered > moved) - rate * n) / (1 - rate)
        left_out = max(left_out, min(round(excess), most))
    return left_out


def _known_alarms(reference: _Floats, alpha: float) -> tuple[float, float]:
    """A score of ascending ones (m,), and the share of normal images that exceeds it at most, with CONFIDENCE.

    The share above the r-th highest of m scores has a beta law with r and m + 1 - r.
    """
    from scipy.special import betaincinv  # noqa: PLC0415  # a second to import, which scoring by a threshold is spared

    m = len(reference)
    rank = max(1, math.floor((m + 1) * alpha + 1e-9))
    return float(reference[m - rank]), float(betaincinv(rank, m + 1 - rank, CONFIDENCE))


def _moved(limit: float, reference: _Floats, ordered: _Floats) -> float:
    """A score of the reference, mapped to other scores by median and interquartile range."""
    (held, new, [limit]), exponent = scaled(reference, ordered, np.array([limit]))
    held_low, held_middle, held_high = np.quantile(held, [0.25, 0.5, 0.75])
    new_low, new_middle, new_high = np.quantile(new, [0.25, 0.5, 0.75])
    range_of_held = float(held_high - held_low)
    stretch = 1.0 if is_none(range_of_held, held) else (new_high - new_low) / at_least(range_of_held, held, new)
    return unscaled(float(new_middle + (limit - held_middle) * stretch), exponent)
