"""The two sides of a drift comparison: the baseline from calibration, and a window of production days.

Both belong to one category and one model version, because a new version has another scale and another calibration
set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rd_core.errors import TooFewNormals

MINIMUM_NORMALS = 10


@dataclass(frozen=True, eq=False)
class Baseline:
    """What the model card keeps of the calibration. Built by `baseline`."""

    scores: NDArray[np.float64]
    """(n,) held-out normal images, ascending"""
    alpha: float
    """promised false-alarm rate"""
    threshold: float
    """an image is anomalous when its score is above it"""
    statistics: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """by name, (n,) or fewer: image statistics and feature distance of the same images"""
    golden: NDArray[np.float64] | None = None
    """(g,) scores of the golden images when the model was made"""


@dataclass(frozen=True, eq=False)
class Window:
    """Production images in order of day. Built by `window`."""

    days: NDArray[np.int64]
    """(m,) proleptic ordinals, ascending"""
    scores: NDArray[np.float64]
    """(m,)"""
    statistics: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """by name, (m,); NaN where unknown"""
    golden: NDArray[np.float64] | None = None
    """(g,) scores of the golden images, replayed on the last day"""

    def since(self, day: int) -> "Window":
        """The images from `day` (an ordinal) on."""
        first = int(np.searchsorted(self.days, day))
        kept = {name: values[first:] for name, values in self.statistics.items()}
        return Window(self.days[first:], self.scores[first:], kept, self.golden)

    def by_day(self) -> list[tuple[int, NDArray[np.float64]]]:
        """(day, its scores), in order; days without images are left out."""
        days, starts = np.unique(self.days, return_index=True)
        return [(int(d), s) for d, s in zip(days, np.split(self.scores, starts[1:]), strict=True)]


def baseline(
    scores: ArrayLike,
    alpha: float,
    threshold: float,
    statistics: Mapping[str, ArrayLike] | None = None,
    golden: ArrayLike | None = None,
) -> Baseline:
    """Check and sort scores (n,) of held-out normals and the threshold they gave.

    Raises TooFewNormals below 10 scores, ValueError for scores that are not finite.
    """
    held = np.sort(_finite(scores, "calibration score"))
    if len(held) < MINIMUM_NORMALS:
        raise TooFewNormals(
            f"{len(held)} calibration scores are too few to detect drift. Hold out at least {MINIMUM_NORMALS} "
            "normal images, better 400."
        )
    known = {name: _known(values) for name, values in (statistics or {}).items()}
    return Baseline(held, alpha, threshold, {k: v for k, v in known.items() if len(v)}, _golden(golden))


def window(
    days: Sequence[date] | Sequence[int] | NDArray[np.integer],
    scores: ArrayLike,
    statistics: Mapping[str, ArrayLike] | None = None,
    golden: ArrayLike | None = None,
) -> Window:
    """Sort days (m,), dates or ordinals, scores (m,) and image statistics (m,) by name by day.

    Raises ValueError for no images, lengths that differ, and scores that are not finite.
    """
    ordinals = np.array([d.toordinal() if isinstance(d, date) else int(d) for d in days], dtype=np.int64)
    values = _finite(scores, "score")
    if not len(values):
        raise ValueError("a window without images has nothing to compare. Widen it until it holds a scored day.")
    kept = {name: np.asarray(v, dtype=np.float64).ravel() for name, v in (statistics or {}).items()}
    for name, column in [("days", ordinals), *kept.items()]:
        if len(column) != len(values):
            raise ValueError(
                f"{len(column)} {name} but {len(values)} scores: they cannot be matched. Give one an image."
            )
    order = np.argsort(ordinals, kind="stable")
    return Window(ordinals[order], values[order], {k: v[order] for k, v in kept.items()}, _golden(golden))


def iso(day: int) -> str:
    """An ordinal as YYYY-MM-DD."""
    return date.fromordinal(day).isoformat()


def _finite(values: ArrayLike, noun: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(array).all():
        raise ValueError(
            f"{np.count_nonzero(~np.isfinite(array))} of {len(array)} {noun}s are not finite, so no rank is "
            "certain. Leave out images that could not be scored."
        )
    return array


def _known(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def _golden(values: ArrayLike | None) -> NDArray[np.float64] | None:
    return None if values is None else np.asarray(values, dtype=np.float64).ravel()
