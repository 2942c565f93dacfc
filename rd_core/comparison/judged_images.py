"""The labelled images that a comparison judges by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.errors import ConfigError


@dataclass(frozen=True)
class JudgedImage:
    """A labelled image on which no contender was trained, stopped or calibrated."""

    key: str
    """of the image; unique, so that of a drawn defect is another than the normal's"""
    part: str
    """the piece that it shows; a drawn defect has the part of the normal that it was drawn into"""
    anomalous: bool
    kind: str | None = None
    """of its defect, as labelled or drawn; None for a normal image and where it is unknown"""
    defect_share: float | None = None
    """share of the image's counted pixels that its mask covers, in (0, 1]; None without a mask"""
    drawn: bool = False
    """whether its defect was drawn into a normal image"""

    def __post_init__(self) -> None:
        if self.defect_share is not None and not 0 < self.defect_share <= 1:
            raise ConfigError(
                f"the mask of {self.key!r} covers a share of {self.defect_share} of it, which is no size of a "
                "defect. Give a share above 0 and up to 1, or None without a mask."
            )
        if not self.anomalous and (self.kind is not None or self.defect_share is not None or self.drawn):
            raise ConfigError(
                f"{self.key!r} is labelled normal but has a defect (kind {self.kind!r}, share {self.defect_share}, "
                f"drawn {self.drawn}): one of the two is wrong. Correct the label or leave out the defect."
            )


def labels_of(images: Sequence[JudgedImage]) -> NDArray[np.bool_]:
    """Which images are anomalous, bool [n]."""
    return np.array([image.anomalous for image in images], dtype=bool)


def parts_of(images: Sequence[JudgedImage]) -> list[str]:
    """The part of each image [n]."""
    return [image.part for image in images]


def check_judged(images: Sequence[JudgedImage]) -> None:
    """Raise ConfigError if a key occurs twice."""
    keys = [image.key for image in images]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ConfigError(
            f"{twice!r} is judged twice and would weigh double. Give every judged image a key of its own."
        )
