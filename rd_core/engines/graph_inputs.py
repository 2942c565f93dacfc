"""The inputs of engines that are graphs, which have one form for all images: with ignored pixels or without."""

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.detector import Detector


def counted_for_graph(
    images: NDArray[np.uint8], counted: NDArray[np.bool_] | None, *, ignoring: bool
) -> NDArray[np.bool_] | None:
    """The second input (B, H, W) of a graph for images (B, H, W, 3); None if it has none.

    Raises ValueError for counted pixels that it would not look at.
    """
    if counted is not None and not ignoring:
        raise ValueError(
            "this engine was built for images whose pixels all count, so ignored pixels would count. Build it with "
            "computed_by(..., ignoring=True)."
        )
    return np.ones(images.shape[:3], dtype=np.bool_) if ignoring and counted is None else counted


def noise_for(detector: Detector, *, ignoring: bool) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """A micro-batch of noise uint8 (B, H, W, 3), and of counted pixels bool (B, H, W), with other ignored rectangles
    in each image, if some are to be ignored."""
    random, shape = np.random.default_rng(0), detector.settings.micro_batch_shape
    images = random.integers(0, 256, shape, dtype=np.uint8)
    if not ignoring:
        return images, None
    counted = np.ones(shape[:3], dtype=np.bool_)
    for own in counted:
        top, left = (int(random.integers(side)) for side in own.shape)
        own[top : top + own.shape[0] // 2, left : left + own.shape[1] // 2] = False
    return images, counted
