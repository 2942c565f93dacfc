"""The image sequences that training takes: fetched one by one, never all in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

RESIZING_VERSION = "bilinear-antialias-1"
"""of `rd_core.pictures.preprocessing.resize`; changes with its output"""


class Images(Protocol):
    """Decoded images, uint8 (H, W, 3) of any size, fetched when indexed; a list of arrays is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        """Raises IndexError beyond the last, and whatever fetching raises."""


@dataclass(frozen=True)
class SomeImages:
    """The images with these numbers, in their order."""

    images: Images
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self.images[self.numbers[index]]


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
