"""Brushed steel sheet: fine horizontal streaks of many lengths, and a broad glare of the lamp."""

import numpy as np
from numpy.typing import NDArray

from demo.smooth_noise import smooth_noise

_STEEL = np.array([0.67, 0.69, 0.71], np.float32)


def draw(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A flawless piece of sheet: float32 (size, size, 3) in [0, 1], sRGB."""
    scale = size / 160
    streaks = (
        0.50 * smooth_noise(rng, size, 0.2, 20 * scale)
        + 0.38 * smooth_noise(rng, size, 0.5 * scale, 7 * scale)
        + 0.30 * smooth_noise(rng, size, 1.4 * scale, 45 * scale)
    )
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    centre = 0.42 + rng.normal(0, 0.03)
    # Brushing scatters the lamp across the streaks: the glare is a band, wide along the other axis.
    glare = np.exp(-(((columns - centre - 0.10 * (rows - 0.5)) / 0.36) ** 2))
    grooves = np.clip(smooth_noise(rng, size, 0.3, 4 * scale) - 2.6, 0, 1)
    grey = 0.64 + 0.42 * glare + 0.08 * (0.5 - rows) + (0.055 + 0.045 * glare) * streaks + 0.10 * grooves
    tint = 1 + 0.02 * (columns - 0.5)[..., None] * np.array([1.0, 0.1, -1.0], np.float32)
    picture = grey[..., None] * _STEEL * tint
    picture += 0.006 * rng.standard_normal((size, size, 3), dtype=np.float32)
    return np.clip(picture, 0, 1).astype(np.float32)
