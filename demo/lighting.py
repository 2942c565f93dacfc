"""Changing light: a lamp that dims, moves and turns yellow, or another that stands too low."""

import numpy as np
from numpy.typing import NDArray


def drift(image: NDArray[np.float32], strength: float) -> NDArray[np.float32]:
    """`image` under a drifted lamp: float32 (H, W, 3) in [0, 1] to the same.

    `strength` in [0, 1]: 0 changes nothing; 1 takes 30 % of the light, adds a gradient of 36 % from one corner to the
    other, and shifts the colour towards yellow by about 20 %.
    """
    _refuse(strength)
    height, width = image.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    corner = (columns / max(1, width - 1) + rows / max(1, height - 1)) / 2 - 0.5
    gain = (1 - 0.30 * strength) * (1 - 0.36 * strength * corner)
    lamp = 1 + strength * np.array([0.09, 0.0, -0.13], np.float32)
    return np.clip(image * gain[..., None] * lamp, 0, 1).astype(np.float32)


def rake(image: NDArray[np.float32], strength: float) -> NDArray[np.float32]:
    """`image` under a lamp that stands low on its left: float32 (H, W, 3) in [0, 1], as the input.

    Slopes towards the lamp become brighter, others darker, so texture stands out. `strength` in [0, 1]: 0 changes
    nothing; 1 adds twice the slope of the luma, per pixel.
    """
    _refuse(strength)
    slope = np.gradient(image.mean(axis=2), axis=1)
    return np.clip(image + 2 * strength * slope[..., None], 0, 1).astype(np.float32)


def _refuse(strength: float) -> None:
    if not 0 <= strength <= 1:
        raise ValueError(
            f"strength {strength} is outside [0, 1]: there is no such light. Use a share between 0 and 1."
        )
