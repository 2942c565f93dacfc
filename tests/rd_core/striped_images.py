"""A made-up product: stripes, and a blot for a defect."""

import numpy as np
from numpy.typing import NDArray

SIZE = 64


def textured(count: int, height: int = SIZE, width: int = SIZE, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 (count, height, width, 3): stripes of one period, each image with its own phase and noise."""
    random = np.random.default_rng(seed)
    phase = random.uniform(0, 2 * np.pi, (count, 1, 1, 1))
    x = np.arange(width)[None, None, :, None]
    stripes = 128 + 60 * np.sin(x / 3 + phase) + random.normal(0, 6, (count, height, width, 3))
    return np.clip(stripes, 0, 255).astype(np.uint8)


def with_blot(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The images with a dark square, rows and columns 20 to 36."""
    defective = images.copy()
    defective[:, 20:36, 20:36] = 10
    return defective
