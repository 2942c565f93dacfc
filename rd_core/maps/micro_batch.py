"""Scoring in micro-batches of one shape, and its results."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rd_core.errors import MapOutOfRange

FLOAT16_MAX = float(np.finfo(np.float16).max)
"""65504"""


class AnomalyMaps(NamedTuple):
    """Maps and scores of B images."""

    maps: NDArray[np.float32]
    """(B, H / s, W / s), not negative, of images (B, H, W, 3) and a map stride s"""
    scores: NDArray[np.float32]
    """(B,), raw and unbounded"""
    feature_distances: NDArray[np.float32]
    """(B,) distance of an image's mean features from those of the training normals, root mean square over the
    channels of all stages, in standard deviations of a single position. It reacts to a changed scene rather than to a
    local defect"""

    def as_float16(self) -> NDArray[np.float16]:
        """The maps as they are stored: float16, rounded to nearest.

        Raises MapOutOfRange for a value that float16 cannot hold.
        """
        if self.maps.size and not (self.maps.min() >= -FLOAT16_MAX and self.maps.max() <= FLOAT16_MAX):
            worst = self.maps[~(np.abs(self.maps) <= FLOAT16_MAX)].flat[0]
            raise MapOutOfRange(
                f"an anomaly map holds {worst}, beyond {FLOAT16_MAX:.0f}, the largest value of its stored form, "
                "float16, so nothing was scored. Check the model's weights; a method with larger distances must "
                "scale them."
            )
        return torch.from_numpy(self.maps).half().numpy()  # a tenth of the time of NumPy's cast, the same values


def in_micro_batches(
    images: NDArray[np.uint8],
    shape: tuple[int, int, int, int],
    detect: Callable[[NDArray[np.uint8]], AnomalyMaps],
) -> AnomalyMaps:
    """Apply `detect` to images uint8 (N, H, W, 3) in micro-batches of `shape` (B, H, W, 3), the last one padded.

    Raises ValueError for images of another size.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape[1:]:
        raise ValueError(
            f"images of shape {images.shape} and type {images.dtype} do not fit a model of uint8 (B, "
            f"{shape[1]}, {shape[2]}, 3), so its scores would be meaningless. Resize them with "
            "rd_core.pictures.preprocessing.resize()."
        )
    count = len(images)
    scores, distances = np.empty((2, count), dtype=np.float32)
    for start in range(0, max(count, 1), shape[0]):  # without images one, which tells the maps' size
        some = images[start : start + shape[0]]
        filled = np.zeros(shape, dtype=np.uint8)
        filled[: len(some)] = some
        stop = start + len(some)
        found = detect(filled)
        if not start:
            maps = np.empty((count, *found.maps.shape[1:]), dtype=np.float32)
        for whole, part in zip((maps, scores, distances), found, strict=True):
            whole[start:stop] = part[: len(some)]
    return AnomalyMaps(maps, scores, distances)
