"""Scoring in micro-batches of one shape, and its results."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from rd_core.errors import MapOutOfRange

T = TypeVar("T", np.uint8, np.bool_)
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
    detect: Callable[[NDArray[np.uint8], NDArray[np.bool_] | None], AnomalyMaps],
    counted: NDArray[np.bool_] | None = None,
) -> AnomalyMaps:
    """Apply `detect` to images uint8 (N, H, W, 3) in micro-batches of `shape` (B, H, W, 3), the last one padded, with
    `counted` bool (N, H, W), their pixels that count.

    Raises ValueError for images of another size, or `counted` of another shape or type.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape[1:]:
        raise ValueError(
            f"images of shape {images.shape} and type {images.dtype} do not fit a model of uint8 (B, "
            f"{shape[1]}, {shape[2]}, 3), so its scores would be meaningless. Resize them with "
            "rd_core.pictures.preprocessing.resize()."
        )
    if counted is not None and (counted.dtype != np.bool_ or counted.shape != images.shape[:3]):
        raise ValueError(
            f"counted pixels of shape {counted.shape} and type {counted.dtype} do not fit images of shape "
            f"{images.shape}, so ignored pixels would count. Give bool {images.shape[:3]}."
        )
    count = len(images)
    scores, distances = np.empty((2, count), dtype=np.float32)
    for start in range(0, max(count, 1), shape[0]):  # without images one, which tells the maps' size
        some = images[start : start + shape[0]]
        stop = start + len(some)
        of_some = None if counted is None else _filled(counted[start:stop], shape[:3])
        found = detect(_filled(some, shape), of_some)
        if not start:
            maps = np.empty((count, *found.maps.shape[1:]), dtype=np.float32)
        for whole, part in zip((maps, scores, distances), found, strict=True):
            whole[start:stop] = part[: len(some)]
    return AnomalyMaps(maps, scores, distances)


def _filled(some: NDArray[T], shape: tuple[int, ...]) -> NDArray[T]:
    """The arrays, padded by zeros to `shape`."""
    filled = np.zeros(shape, dtype=some.dtype)
    filled[: len(some)] = some
    return filled
