"""Maps of a stride at the size of their images, to be held against masks.

Figures of pixels then depend little on the stride: on a coarse grid a thin crack becomes a row of single pixels.
"""

import numpy as np
from numpy.typing import NDArray

STRIP = 2**20
"""pixels enlarged together, some 20 bytes each: a map of 48 megapixels would take 300 MiB beside itself"""


def enlarged(maps: NDArray[np.float16], size: tuple[int, int]) -> NDArray[np.float16]:
    """Bilinear between the centres of a map's pixels, (..., h, w) -> (..., *size); the outermost values reach to the
    edge. Raises ValueError unless `size` is the same multiple of both sides."""
    stride = size[0] // maps.shape[-2]
    if size != (stride * maps.shape[-2], stride * maps.shape[-1]):
        raise ValueError(
            f"maps of {maps.shape[-2]} x {maps.shape[-1]} pixels are not those of a view of {size[0]} x {size[1]}."
        )
    if stride == 1:
        return maps
    height = maps.shape[-2]
    made = np.empty((*maps.shape[:-2], *size), np.float16)
    step = max(1, STRIP * height // made.size)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        first, last = max(top - 1, 0), min(bottom + 1, height)  # with neighbours, so that strips join exactly
        rows = _along_rows(maps[..., first:last, :].astype(np.float32), stride)
        rows = rows[..., stride * (top - first) : stride * (bottom - first), :]
        made[..., stride * top : stride * bottom, :] = _along_rows(rows.swapaxes(-1, -2), stride).swapaxes(-1, -2)
    return made


def _along_rows(values: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Interpolate over the axis before the last."""
    before = np.concatenate([values[..., :1, :], values[..., :-1, :]], axis=-2)
    after = np.concatenate([values[..., 1:, :], values[..., -1:, :]], axis=-2)
    made = np.empty((*values.shape[:-2], stride * values.shape[-2], values.shape[-1]), np.float32)
    for place in range(stride):
        away = np.float32((place + 0.5) / stride - 0.5)
        other = before if away < 0 else after
        made[..., place::stride, :] = (1 - abs(away)) * values + abs(away) * other
    return made
