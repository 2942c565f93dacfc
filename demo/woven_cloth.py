"""Plain-weave cloth under a macro lens: warp and weft threads that each differ a little."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from demo.smooth_noise import smooth_noise

THREAD_PITCH = 9.0
"""pixels from one thread to the next on a picture of 160 pixels"""
_WARP = np.array([0.33, 0.42, 0.55], np.float32)
_WEFT = np.array([0.74, 0.73, 0.68], np.float32)
_SHADOW = np.array([0.10, 0.12, 0.17], np.float32)


def draw(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A flawless piece of cloth: float32 (size, size, 3) in [0, 1], sRGB."""
    scale = size / 160
    pitch = THREAD_PITCH * scale
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    warp_at = (columns + _wobble(rng, size, pitch)) / pitch + rng.uniform()
    weft_at = (rows + _wobble(rng, size, pitch).T) / pitch + rng.uniform()
    warp_thread, warp_across = np.floor(warp_at).astype(int), 2 * (warp_at % 1) - 1
    weft_thread, weft_across = np.floor(weft_at).astype(int), 2 * (weft_at % 1) - 1

    # A thread is a half cylinder that dives under every second crossing thread.
    over = np.where((warp_thread + weft_thread) % 2 == 0, np.float32(0.55), np.float32(-0.55))
    warp_height = _half_cylinder(warp_across) + over * np.cos(weft_across * np.float32(np.pi / 2))
    weft_height = _half_cylinder(weft_across) - over * np.cos(warp_across * np.float32(np.pi / 2))
    height = np.maximum(warp_height, weft_height)
    is_warp = (warp_height > weft_height)[..., None]

    fibre = 3.5 * scale
    warp = _thread_shades(rng, warp_thread) * (1 + 0.10 * smooth_noise(rng, size, fibre, 0.5))
    weft = _thread_shades(rng, weft_thread) * (1 + 0.10 * smooth_noise(rng, size, 0.5, fibre))
    colour = np.where(is_warp, warp[..., None] * _WARP, weft[..., None] * _WEFT)

    down, right = np.gradient(gaussian_filter(height, 0.6 * scale))
    light = np.clip(0.80 - (0.75 * right + 0.95 * down) * scale, 0.25, 1.5)
    light *= 1 + 0.05 * smooth_noise(rng, size, size / 7, size / 7)
    depth = np.clip((height + 0.15) / 0.75, 0, 1)[..., None]
    lit = colour * light[..., None] * depth + _SHADOW * (1 - depth)
    photographed = gaussian_filter(lit, (0.55 * scale, 0.55 * scale, 0))
    photographed += 0.010 * rng.standard_normal((size, size, 3), dtype=np.float32)
    return np.clip(photographed, 0, 1).astype(np.float32)


def _half_cylinder(across: NDArray) -> NDArray:
    return np.sqrt(np.clip(1 - (across / 0.94) ** 2, 0, 1))


def _wobble(rng: np.random.Generator, size: int, pitch: float) -> NDArray[np.float32]:
    """Pixels by which warp threads stray: long waves of the whole cloth and short ones of each thread."""
    cloth = smooth_noise(rng, size, size / 5, size / 5)
    thread = smooth_noise(rng, size, size / 16, pitch / 1.5)
    return 0.11 * pitch * cloth + 0.035 * pitch * thread


def _thread_shades(rng: np.random.Generator, thread: NDArray) -> NDArray[np.float32]:
    """Every thread has a slightly different colour."""
    first = int(thread.min())
    shades = 1 + rng.normal(0, 0.045, int(thread.max()) - first + 1)
    return shades.astype(np.float32)[thread - first]
