"""Whether an image's map and score are its own, whichever images it is scored with."""

import numpy as np
from numpy.typing import NDArray

from rd_core.detector import Detector


def assert_company_does_not_count(model: Detector, images: NDArray[np.uint8]) -> None:
    """Bit for bit: all at once, from the last to the first, which gives each other neighbours and nearly each another
    place, and the first and the last alone."""
    together = model.score(images)
    backwards = model.score(images[::-1].copy())
    first, last = model.score(images[:1]), model.score(images[-1:])
    for all_of, turned, one, other in zip(together, backwards, first, last, strict=True):
        assert np.array_equal(turned[::-1], all_of)
        assert np.array_equal(one, all_of[:1])
        assert np.array_equal(other, all_of[-1:])
