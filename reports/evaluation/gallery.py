"""The defect that somebody drew, outlined on the picture."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_OUTLINE = np.array([64, 255, 96], np.uint8)
_AROUND = np.array([0, 0, 0], np.uint8)


def outlined(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """`picture`, uint8 (H, W, 3), with a green line around the True pixels of `mask`, bool (h, w) of any size.

    The line lies outside of the defect, black at its outer side, so that it shows on any ground and hides nothing.
    """
    height, width = picture.shape[:2]
    scaled = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
    defect = np.asarray(scaled) > 0
    near, far = _grown(defect), _grown(_grown(defect))
    drawn = picture.copy()
    drawn[far & ~near] = _AROUND
    drawn[near & ~defect] = _OUTLINE
    return drawn


def _grown(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`area` and its neighbours, of eight."""
    padded = np.pad(area, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    return np.asarray(rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:])
