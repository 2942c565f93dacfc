"""Five statistics of a picture's light, focus and position.

Sharpness is the mean absolute Laplacian over the mean absolute gradient: blur lowers the ratio, less light or
contrast does not. The edges' centre is the mean position weighted by the absolute gradient: it moves with the part,
not with the light.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""weights of red, green and blue (ITU-R BT.601)"""
_FROM_BYTES = LUMA / np.float32(255)
# Of an even picture no more than this is left of the gradient; one grey step in a million pixels is more.
_ROUNDING = 1e-7


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of a picture's luma in [0, 1]."""

    brightness: float
    """mean, in [0, 1]"""
    contrast: float
    """standard deviation, in [0, 0.5]"""
    sharpness: float
    """mean absolute Laplacian over mean absolute difference of neighbours; 0 for a constant picture"""
    edge_centre_x: float
    """mean column of the absolute differences, as a share of the width from the left; 0.5 for a constant picture"""
    edge_centre_y: float
    """mean row of them, as a share of the height from the top"""


def image_statistics(pixels: NDArray[np.uint8]) -> ImageStatistics:
    """Compute the statistics of uint8 (H, W, 3), RGB in [0, 255]. Raises ValueError for other shapes and types.

    Sharpness and centre use every second row, to save time.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(
            f"pixels of shape {pixels.shape} and type {pixels.dtype} are no image uint8 (H, W, 3), so they have no "
            "statistics. Pass the result of rd_core.pictures.preprocessing.resize()."
        )
    luma = pixels.reshape(-1, 3).astype(np.float32) @ _FROM_BYTES
    mean = luma.mean()
    luma -= mean  # in place: a fresh array costs more than the subtraction, and differences stay the same
    deviation = float(np.sqrt(np.square(luma).mean()))
    return ImageStatistics(min(float(mean), 1.0), deviation, *_of_edges(luma.reshape(pixels.shape[:2])))


def _of_edges(luma: NDArray[np.float32]) -> tuple[float, float, float]:
    """Sharpness and the edges' centre, x and y, of float32 (H, W). Below 3 x 3 pixels there is no Laplacian: 0."""
    if min(luma.shape) < 3:
        return 0.0, 0.5, 0.5
    rows = luma[1:-1:2]
    down = luma[2::2] - rows
    right = rows[:, 1:] - rows[:, :-1]
    laplacian = down[:, 1:-1] + luma[:-2:2, 1:-1]
    laplacian -= rows[:, 1:-1]
    laplacian += right[:, 1:]
    laplacian -= right[:, :-1]
    gradient = (_mean_size(down) + _mean_size(right)) / 2
    if gradient <= _ROUNDING:
        return 0.0, 0.5, 0.5
    down[:, :-1] += right
    return _mean_size(laplacian) / gradient, *_centre(down, luma.shape)


def _centre(edges: NDArray[np.float32], size: tuple[int, ...]) -> tuple[float, float]:
    """Mean place (x, y) of absolute differences (R, W) of every second row, from the second on, to the pixels below
    and to the right. Each lies half way between its pixels."""
    height, width = size
    columns, rows = edges.sum(axis=0), edges.sum(axis=1)
    everything = float(rows.sum())
    x = float((columns * np.arange(1, width + 1)).sum()) / (everything * width)
    y = float((rows * (2 * np.arange(len(rows)) + 2)).sum()) / (everything * height)
    return x, y


def _mean_size(values: NDArray[np.float32]) -> float:
    """Mean absolute value; overwrites `values`. Unlike BLAS, it sums independently of the array's place in memory, so
    the same image gives the same bytes."""
    return float(np.abs(values, out=values).mean())
