"""The image sequences that training takes: fetched one by one, never all in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

RESIZING_VERSION = "bilinear-antialias-1"
"""of `rd_core.pictures.preprocessing.resize`; changes with its output"""


class Images(Protocol):
    """Decoded images, uint8 (H, W, 3) of any size, fetched when indexed; a list of arrays is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        """Raises IndexError beyond the last, and whatever fetching raises."""


@runtime_checkable
class PartlyIgnored(Protocol):
    """Images with ignored regions, already filled."""

    def counted(self, index: int, /) -> NDArray[np.bool_] | None:
        """The pixels of an image that count, bool (H, W) of the detector's size; None: all. Quick, asked often."""


@runtime_checkable
class CutOut(Protocol):
    """Images that are parts of larger pictures, such as crops."""

    @property
    def pictures(self) -> int:
        """Number of those pictures."""


def pictures_in(images: Images) -> int:
    """Number of the pictures that these images are, or are cut out of."""
    return images.pictures if isinstance(images, CutOut) else len(images)


@runtime_checkable
class Identified(Protocol):
    """Images that tell what they show without being fetched."""

    @property
    def digest(self) -> str | None:
        """Of two sets equal only if their images are, pixel by pixel and in their order, and what counts of them;
        None: not known."""


def digest_of(images: Images) -> str | None:
    """Their digest; None if they tell none."""
    return images.digest if isinstance(images, Identified) else None


def counted_of(images: Images, index: int) -> NDArray[np.bool_] | None:
    """The pixels that count of the image with this index; None: all, as of images that are not PartlyIgnored."""
    return images.counted(index) if isinstance(images, PartlyIgnored) else None


def counted_in(images: Images, indices: Sequence[int]) -> NDArray[np.bool_] | None:
    """The pixels that count of the images with these indices, bool (B, H, W); None: all of each."""
    return stacked_masks([counted_of(images, index) for index in indices])


def stacked_masks(masks: Sequence[NDArray[np.bool_] | None]) -> NDArray[np.bool_] | None:
    """bool (B, H, W) of masks (H, W), None for all True; None if all are."""
    some = next((mask for mask in masks if mask is not None), None)
    if some is None:
        return None
    whole = np.ones_like(some)
    return np.stack([whole if mask is None else mask for mask in masks])


@dataclass(frozen=True)
class SomeImages:
    """The images with these numbers, in their order."""

    images: Images
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self.images[self.numbers[index]]

    def counted(self, index: int) -> NDArray[np.bool_] | None:
        """See `PartlyIgnored.counted`."""
        return counted_of(self.images, self.numbers[index])


@dataclass(frozen=True)
class JoinedImages:
    """Images after images, numbered on."""

    first: Images
    then: Images

    def __len__(self) -> int:
        return len(self.first) + len(self.then)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        first = len(self.first)
        return self.first[index] if index < first else self.then[index - first]

    def counted(self, index: int) -> NDArray[np.bool_] | None:
        """See `PartlyIgnored.counted`."""
        first = len(self.first)
        return counted_of(self.first, index) if index < first else counted_of(self.then, index - first)
