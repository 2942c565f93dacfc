"""Scores of held-out normals, the basis of a model's thresholds."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.calibration.pixel_threshold import PixelCounts, PixelThreshold
from rd_core.calibration.suspects import MOST_OUTLYING, Suspects, suspicious
from rd_core.calibration.threshold import Threshold, calibrate, normals_needed
from rd_core.engines.engine import Engine
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.alignment import OFFSET_COLUMNS, Offset
from rd_core.pictures.image_statistics import ImageStatistics
from rd_core.pictures.images import counted_in, stacked_masks
from tasks.training.normal_images import PixelSource
from tasks.worker.picture_reader import micro_batches

HIGHEST = 3
"""held-out normals that are named where the threshold rests on them"""
FEWEST_NEW = 10
"""fewest new normals for a threshold of their own"""


@dataclass(frozen=True)
class Calibration:
    """Scores, statistics and thresholds of n held-out normals, in one order."""

    scores: np.ndarray
    """float32 [n], raw"""
    statistics: dict[str, np.ndarray]
    """by name, float [n]: the image statistics that score rows have"""
    threshold: Threshold
    pixel_threshold: PixelThreshold
    parts: tuple[int, ...]
    """number of images of each part, ascending; their sum is n"""
    set_aside: Mapping[str, str]
    """normals that look like wrong labels, which set no threshold, most suspicious first: key -> why"""
    more_suspects: int
    """number of further ones, which are used because no more than a share is set aside"""
    highest: Mapping[str, str]
    """normals of the highest scores, if the threshold rests on them: key -> how high; a wrong label among them would
    hide defects"""

    @property
    def above(self) -> int:
        """Number of scores above the threshold."""
        return int(np.count_nonzero(self.scores > self.threshold.value))


class HeldOutNormals:
    """What models find in normals whose parts they have not seen.

    `set_aside` and `judge` are those of `rd_core.detectors.detector.CrossFit`; the numbers are places in `keys`.
    """

    def __init__(
        self,
        keys: Sequence[str],
        parts: Sequence[str],
        statistics: Mapping[str, ImageStatistics],
        new: Collection[str] = (),
        counted: Callable[[str, tuple[int, int]], NDArray[np.bool_] | None] = lambda *_: None,
        offsets: Mapping[str, Offset] | None = None,
    ) -> None:
        """parts: one for each key. new: the keys of normals that are new to any model. counted: the pixels that count
        of the image with a key, bool, on a grid of (height, width); None: all. offsets: of aligned images, by key."""
        self.keys, self.parts = tuple(keys), tuple(parts)
        self.scores, self._distances = np.full((2, len(keys)), np.nan, np.float32)
        self._counted = counted
        places = {key: dict(zip(OFFSET_COLUMNS, offset, strict=True)) for key, offset in (offsets or {}).items()}
        self._statistics = [asdict(statistics[key]) | places.get(key, {}) for key in keys]
        self._is_new = np.array([key in new for key in keys], bool)
        self._kept = np.ones(len(keys), bool)
        self._suspects: list[tuple[int, float, Suspects]] = []
        self._pixels, self._new_pixels = PixelCounts(), PixelCounts()
        self._more = 0

    @property
    def has_groups(self) -> bool:
        """Whether there are enough new normals, beside others, for a threshold of their own."""
        new, kept = np.count_nonzero(self._is_new & self._kept), np.count_nonzero(self._kept)
        return bool(FEWEST_NEW <= new < kept)

    def set_aside(self, scores: NDArray[np.float64]) -> list[int]:
        """The numbers of normals that look like wrong labels. New ones are compared with each other only: after a
        change of light all of them stand out among the old ones."""
        groups = [~self._is_new, self._is_new] if self.has_groups else [self._kept.copy()]
        for group in groups:
            numbers = np.flatnonzero(group)
            found = suspicious(scores[numbers])
            self._more += found.more
            self._suspects += [(int(numbers[i]), float(found.z[i]), found) for i in found.numbers]
        aside = [number for number, *_ in self._suspects]
        self._kept[aside] = False
        return aside

    def judge(self, numbers: Sequence[int], found: AnomalyMaps) -> None:
        """Take the maps and scores of these normals."""
        some = np.asarray(numbers)
        self.scores[some], self._distances[some] = found.scores, found.feature_distances
        maps = found.as_float16()
        for pixels, group in ((self._pixels, self._kept), (self._new_pixels, self._kept & self._is_new)):
            pixels.add(*self._maps_of(some, maps, group))

    def take_back(self, numbers: Sequence[int], found: AnomalyMaps) -> None:
        """Forget the maps of normals that were set aside after they were judged."""
        some, maps = np.asarray(numbers), found.as_float16()
        self._pixels.remove(*self._maps_of(some, maps, np.ones_like(self._kept)))
        self._new_pixels.remove(*self._maps_of(some, maps, self._is_new))

    def _maps_of(
        self, numbers: NDArray[np.intp], maps: NDArray[np.float16], group: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float16], NDArray[np.bool_] | None]:
        """The maps of those of these normals that are in the group, and which of their pixels count."""
        chosen = group[numbers]
        grid = maps.shape[1], maps.shape[2]
        counted = stacked_masks([self._counted(self.keys[number], grid) for number in numbers[chosen]])
        return maps[chosen], counted

    def calibrate(self, alpha: float, *, extrapolate: bool) -> Calibration:
        """The stricter of two calibrations: on all normals kept, and on the new ones alone.

        After a change of light, a threshold from all keeps its promise only on the average of old and new; this one
        keeps it for each (conformal by groups, Vovk et al. 2003). Without `extrapolate` new ones that are too few to
        prove alpha count among all only. Raises as `rd_core.calibration.threshold.calibrate`.
        """
        everything = self._of(self._kept, self._pixels, alpha, extrapolate=extrapolate)
        new = self._kept & self._is_new
        if not self.has_groups or not (extrapolate or np.count_nonzero(new) >= normals_needed(alpha)):
            return everything
        lately = self._of(new, self._new_pixels, alpha, extrapolate=extrapolate)
        return max((everything, lately), key=lambda calibration: calibration.threshold.value)

    def _of(self, chosen: NDArray[np.bool_], pixels: PixelCounts, alpha: float, *, extrapolate: bool) -> Calibration:
        numbers = np.flatnonzero(chosen)
        rows = [self._statistics[number] for number in numbers]
        statistics = {name: np.array([row[name] for row in rows]) for name in self._statistics[0]}
        scores = self.scores[numbers]
        threshold = calibrate(scores, alpha, extrapolate=extrapolate)
        rests_on_them = threshold.extrapolated or np.count_nonzero(scores > threshold.value) < HIGHEST
        return Calibration(
            scores,
            {**statistics, "feature_distance": self._distances[numbers]},
            threshold,
            pixels.threshold(),
            tuple(sorted(Counter(self.parts[number] for number in numbers).values())),
            {
                self.keys[number]: f"{self._how_high(number, z)} ({MOST_OUTLYING:g} are allowed). Look whether it is "
                "normal."
                for number, z, _ in self._suspects
            },
            self._more,
            self._highest(numbers) if rests_on_them else {},
        )

    def _highest(self, numbers: NDArray[np.intp]) -> dict[str, str]:
        z = suspicious(self.scores[numbers]).z
        order = np.argsort(-self.scores[numbers], kind="stable")[:HIGHEST]
        return {self.keys[numbers[i]]: f"{self._how_high(int(numbers[i]), float(z[i]))}." for i in order}

    def _how_high(self, number: int, z: float) -> str:
        return (
            f"A model that has not seen its part scores it {self.scores[number]:.4g}, {z:.1f} robust standard "
            "deviations above the other normals"
        )


def judge_held_out(model: Engine, pixels: PixelSource, held_out: HeldOutNormals) -> None:
    """Score normals that `model` was not trained on as in a night, in bounded chunks, and set suspicious ones
    aside."""
    for numbers, found in _scored(model, pixels, range(len(pixels))):
        held_out.judge(numbers, found)
    # Their maps are computed again, so that not all have to be kept until it is known which these are.
    for numbers, found in _scored(model, pixels, held_out.set_aside(held_out.scores.astype(np.float64))):
        held_out.take_back(numbers, found)


def _scored(
    model: Engine, pixels: PixelSource, numbers: Sequence[int]
) -> Iterator[tuple[Sequence[int], AnomalyMaps]]:
    for batch in micro_batches(lambda number: (number, pixels[number]), numbers, pixels.picture_bytes):
        some = [number for number, _ in batch]
        yield some, model.score(np.stack([picture for _, picture in batch]), counted_in(pixels, some))
