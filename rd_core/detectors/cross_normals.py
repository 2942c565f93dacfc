"""Normals that a fit judges by models that have not seen their parts."""

import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from rd_core.detectors.detector import Detection, FitReport
from rd_core.detectors.feature_detector import Features, zeroed_stages
from rd_core.detectors.feature_sources import counted_on
from rd_core.features.cache import FeatureSource
from rd_core.features.standardisation import Moments, Standardisation, together

Judged = Iterator[tuple[Sequence[int], Detection]]
"""numbers (B,) of images to judge, and what models that have not seen their parts find in them"""


class PlacesOfPart(NamedTuple):
    """Where a part's images are in a batch."""

    kept: list[int]
    asked: list[int]
    """all of them"""


@dataclass(frozen=True)
class CrossNormals:
    """The n images of a fit, of which the detector has learnt from some, and the m to judge (see `CrossFit`)."""

    source: FeatureSource
    """of all n images"""
    parts: Sequence[str]
    """(n,)"""
    judged: FeatureSource
    """of the m images to judge: the same, unless `CrossFit` names others"""
    judged_parts: Sequence[str]
    """(m,)"""
    kept: Sequence[int]
    """ascending; the images that the detector has learnt from"""
    moments: Sequence[Moments]
    """(n,) of each image's features"""
    standardisation: Standardisation
    """of the images kept"""

    @cached_property
    def kept_by_part(self) -> dict[str, list[int]]:
        """The images kept of each part, which a judge of the part's images must not have seen."""
        members: dict[str, list[int]] = {part: [] for part in self.parts}
        for number in self.kept:
            members[self.parts[number]].append(number)
        return members

    def by_size(self) -> dict[int, list[str]]:
        """Parts by the number of their images kept, ascending."""
        return {
            size: [part for part, kept in self.kept_by_part.items() if len(kept) == size]
            for size in sorted({len(kept) for kept in self.kept_by_part.values()})
        }

    def whole_parts(self, parts: Collection[str], most: int) -> Iterator[tuple[list[int], list[PlacesOfPart]]]:
        """Batches of at most so many images, or of one larger part: numbers, and where each part's are. Together all
        images of these parts."""
        members: dict[str, list[int]] = {part: [] for part in parts}
        for number, part in enumerate(self.parts):
            if part in members:
                members[part].append(number)
        batch: list[int] = []
        places: list[PlacesOfPart] = []
        for part, numbers in members.items():
            if batch and len(batch) + len(numbers) > most:
                yield batch, places
                batch, places = [], []
            kept = set(self.kept_by_part[part])
            asked = range(len(batch), len(batch) + len(numbers))
            places.append(
                PlacesOfPart([at for at, number in zip(asked, numbers, strict=True) if number in kept], list(asked))
            )
            batch += numbers
        yield batch, places

    @cached_property
    def _of_all(self) -> Moments:
        return together([self.moments[number] for number in self.kept])

    def features(self, numbers: Sequence[int]) -> Features:
        """Features of these images to judge, each standardised by the images kept of other parts."""
        device = self.standardisation.get_buffer("mean_0").device
        raw = tuple(stage.to(device) for stage in self.judged.batch(numbers))
        counted = counted_on(device, self.judged, numbers)
        each = [
            self._standardised(self.judged_parts[n], tuple(f[i : i + 1] for f in raw)) for i, n in enumerate(numbers)
        ]
        standardised = tuple(torch.cat(stages) for stages in zip(*each, strict=True))
        return Features(raw, zeroed_stages(standardised, counted), counted)

    def _standardised(self, part: str, raw: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        own = [self.moments[one] for one in self.kept_by_part.get(part, ())]
        if not own:
            return self.standardisation(raw)
        others = copy.deepcopy(self.standardisation)
        others.fit(self._of_all.without(own))
        return others(raw)


class HeldOut(NamedTuple):
    """Every image to judge of a `CrossNormals`."""

    folds: int | None
    """models that were fitted to judge; None: each part was left out exactly"""
    judged: Judged


class Learnt(NamedTuple):
    """What `RefittableDetector.learn` returns."""

    report: FitReport
    leave_out: Callable[[CrossNormals], HeldOut] | None = None
    """judges each image by the detector as it would be without the image's part; None: folds do"""
