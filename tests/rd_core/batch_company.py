"""Whether an image's map and score are its own, whichever images it is scored with."""

import numpy as np
from numpy.typing import NDArray

from rd_core.engines.engine import Engine


def assert_company_does_not_count(model: Engine, images: NDArray[np.uint8]) -> None:
    """Bit for bit: all of them at once, and each alone."""
    together = model.score(images)
    for i in range(len(images)):
        for alone, all_of in zip(model.score(images[i : i + 1]), together, strict=True):
            assert np.array_equal(alone, all_of[i : i + 1])
