"""Which labelled images may judge a model: figures on what trained it, or chose its method, are too good."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tasks.training.parts import parts_of_keys


class Unfair(StrEnum):
    """Why an image cannot judge a model."""

    TRAINED = "A model was trained, stopped or calibrated on it."
    TRAINED_PART = "A model was trained, stopped or calibrated on another image of its part."
    CHOSE = "Its part helped to choose the model's method."


@dataclass(frozen=True)
class FairJudges:
    """What models have seen, and what chose a method."""

    part_of: Mapping[str, str]
    """by key"""
    trained: frozenset[str]
    """keys"""
    trained_parts: frozenset[str]
    chose: frozenset[str]
    """parts"""

    @classmethod
    def of(
        cls, keys: Sequence[str], pattern: str | None, trained: Collection[str], chose: Collection[str] = ()
    ) -> "FairJudges":
        """keys: of images to judge with. trained, chose: keys of the images that models were made from, and of those
        that chose a method."""
        every = sorted({*keys, *trained, *chose})
        part_of = dict(zip(every, parts_of_keys(every, pattern), strict=True))
        parts = (frozenset(part_of[key] for key in some) for some in (trained, chose))
        return cls(part_of, frozenset(trained), *parts)

    def why_not(self, key: str, *, is_anomalous: bool) -> Unfair | None:
        """Why the image cannot judge; None if it can. A defect may be on a part whose other images trained: a model
        that knows the part does not find its defects more easily."""
        if key in self.trained:
            return Unfair.TRAINED
        if self.part_of[key] in self.chose:
            return Unfair.CHOSE
        if not is_anomalous and self.part_of[key] in self.trained_parts:
            return Unfair.TRAINED_PART
        return None
