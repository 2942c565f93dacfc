"""From distances per stage to one anomaly map.

Each stage's distances are upsampled bilinearly, summed, and smoothed by a Gaussian. Both steps are linear and
separable, so the map is

    S = sum over k of  A_k M_k B_k'     with  A_k = G_H U_k,  B_k = G_W V_k

where U_k, V_k interpolate and G smooths. The matrices are computed once, in float64. A map of stride s has the means
of s x s pixels: means of the matrices' rows, so it is computed at its own size.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn


def interpolation_matrix(length: int, stride: int, *, align_corners: bool) -> NDArray[np.float64]:
    """Linear interpolation from grid points to pixels as a matrix (length, ceil(length / stride)).

    align_corners: the first and last points lie on the first and last pixels (the authors' code). Otherwise each
    point lies at the centre of its pixels, with values mirrored beyond the outermost ones, so that smoothing lowers
    peaks alike everywhere.
    """
    pixels = np.arange(length, dtype=np.float64)
    if align_corners:
        points = np.linspace(0, length - 1, -(-length // stride))
    else:
        starts = pixels[::stride]
        points = (starts + np.minimum(starts + stride, length) - 1) / 2
        pixels = np.maximum(pixels, 2 * points[0] - pixels)
        pixels = np.minimum(pixels, 2 * points[-1] - pixels)
    return np.stack([np.interp(pixels, points, unit) for unit in np.eye(len(points))], axis=1)


def smoothing_matrix(size: int, sigma: float) -> NDArray[np.float64]:
    """SciPy's Gaussian filter (cut at 4 sigma, mode "reflect") as a matrix (size, size)."""
    identity = np.eye(size)
    return identity if sigma == 0 else gaussian_filter1d(identity, sigma, axis=0)


def block_means(matrix: NDArray[np.float64], stride: int) -> NDArray[np.float64]:
    """Means of every `stride` rows, (n, m) -> (n / stride, m)."""
    return matrix.reshape(-1, stride, matrix.shape[1]).mean(axis=1)


class MapAssembly(nn.Module):
    """Upsample, smooth and sum the distances of all stages in two matrix products."""

    rows: Tensor

    def __init__(
        self,
        height: int,
        width: int,
        sigma: float,
        strides: tuple[int, ...],
        *,
        align_corners: bool = False,
        map_stride: int = 1,
    ) -> None:
        """height, width: of the images. sigma: in their pixels. strides: pixels between distances, by stage; a row's
        last may reach beyond the image. align_corners: see `interpolation_matrix`. map_stride: side, in pixels, of a
        map's pixel."""
        super().__init__()
        vertical, horizontal = (
            [
                block_means(
                    smoothing_matrix(side, sigma) @ interpolation_matrix(side, s, align_corners=align_corners),
                    map_stride,
                )
                for s in strides
            ]
            for side in (height, width)
        )
        self._starts = [sum(matrix.shape[1] for matrix in vertical[:index]) for index in range(len(strides))]
        self.register_buffer("rows", _single(np.concatenate(vertical, axis=1)), persistent=False)
        for index, matrix in enumerate(horizontal):
            self.register_buffer(f"columns_{index}", _single(matrix.T), persistent=False)

    def forward(self, distances: tuple[Tensor, ...]) -> Tensor:
        """Distances float32 (B, ceil(H / stride_k), ceil(W / stride_k)), in the order of the strides -> map (B,
        H / map_stride, W / map_stride)."""
        wide = [d @ self.get_buffer(f"columns_{index}") for index, d in enumerate(distances)]
        return torch.matmul(self.rows, torch.cat(wide, dim=1))

    def of_stage(self, index: int, distances: Tensor) -> Tensor:
        """The summand of stage number `index`: distances (B, h, w) -> as the map."""
        wide = distances @ self.get_buffer(f"columns_{index}")
        start = self._starts[index]
        return torch.matmul(self.rows[:, start : start + distances.shape[1]], wide)


def _single(matrix: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float32))
