"""Images with ignored regions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PartlyIgnoredImages:
    """Images, and what counts of them; masks are taken in turns."""

    images: NDArray[np.uint8]
    masks: Sequence[NDArray[np.bool_] | None]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self.images[index]

    def counted(self, index: int) -> NDArray[np.bool_] | None:
        return self.masks[index % len(self.masks)]
