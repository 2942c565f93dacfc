"""Five statistics of a picture's light, focus and position.

Sharpness is the mean absolute Laplacian over the mean absolute gradient: blur lowers the ratio, less light or
contrast does not. The edges' centre is the mean position weighted by the absolute gradient: it moves with the part,
not with the light.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""weights of red, green and blue (ITU-R BT.601)"""
_FROM_BYTES = LUMA / np.float32(255)
_BAND_PIXELS = 2**18
"""looked at together: some 20 bytes each, in every thread that reads"""
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
    height, width, _ = pixels.shape
    step = max(2, _BAND_PIXELS // width // 2 * 2)
    luma = np.empty((height, width), np.float32)
    for top in range(0, height, step):
        band = pixels[top : top + step]
        luma[top : top + step] = (band.reshape(-1, 3).astype(np.float32) @ _FROM_BYTES).reshape(band.shape[:2])
    mean = luma.mean()
    luma -= mean  # in place: a fresh array costs more than the subtraction, and differences stay the same
    squares = sum(float(np.square(luma[top : top + step]).sum()) for top in range(0, height, step))
    return ImageStatistics(min(float(mean), 1.0), math.sqrt(squares / luma.size), *_of_edges(luma, step))


def _of_edges(luma: NDArray[np.float32], step: int) -> tuple[float, float, float]:
    """Sharpness and the edges' centre, x and y, of float32 (H, W), in bands of `step` rows, an even number. Below 3 x
    3 pixels there is no Laplacian: 0."""
    height, width = luma.shape
    if min(luma.shape) < 3:
        return 0.0, 0.5, 0.5
    sizes, columns, of_rows = np.zeros(3), np.zeros(width), []
    for top in range(0, height - 2, step):
        band = luma[top : top + step + 1]
        rows = band[1:-1:2]
        down = band[2::2] - rows
        right = rows[:, 1:] - rows[:, :-1]
        laplacian = down[:, 1:-1] + band[:-2:2, 1:-1]
        laplacian -= rows[:, 1:-1]
        laplacian += right[:, 1:]
        laplacian -= right[:, :-1]
        sizes += [_size(down), _size(right), _size(laplacian)]
        down[:, :-1] += right
        columns += down.sum(axis=0)
        of_rows.append(down.sum(axis=1))
    rows_in_all = np.concatenate(of_rows)
    of_down, of_right, curved = sizes / (len(rows_in_all) * np.array([width, width - 1, width - 2]))
    gradient = (of_down + of_right) / 2
    if gradient <= _ROUNDING:
        return 0.0, 0.5, 0.5
    return float(curved / gradient), *_centre(columns, rows_in_all, height)


def _centre(columns: NDArray[np.float64], rows: NDArray[np.float32], height: int) -> tuple[float, float]:
    """Mean place (x, y) of absolute differences, summed in columns (W,) and in every second row, from the second on
    (R,), to the pixels below and to the right. Each lies half way between its pixels."""
    width = len(columns)
    everything = float(rows.sum())
    x = float((columns * np.arange(1, width + 1)).sum()) / (everything * width)
    y = float((rows * (2 * np.arange(len(rows)) + 2)).sum()) / (everything * height)
    return x, y


def _size(values: NDArray[np.float32]) -> float:
    """Sum of the absolute values; overwrites `values`. Unlike BLAS, it sums independently of the array's place in
    memory, so the same image gives the same bytes."""
    return float(np.abs(values, out=values).sum())
