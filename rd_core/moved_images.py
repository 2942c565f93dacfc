"""Normal images as they would be if the camera stood a little elsewhere.

The teacher's strides make features depend on where a pattern lies between two grid points. A few normal images show
few of these; moved by some pixels, each shows more.
"""

import numpy as np
from numpy.typing import NDArray

from rd_core.images import Images
from rd_core.preprocessing import resize

REACH = 1 / 32
"""of a side: how far an image moves at most, up or down and left or right"""


def moved(image: NDArray[np.uint8], down: int, right: int) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) -> the same shape, moved by less than a side; what was not seen mirrors what is beside it."""
    height, width = image.shape[:2]
    wide = np.pad(image, [(abs(down),) * 2, (abs(right),) * 2, (0, 0)], mode="reflect")
    top, left = abs(down) - down, abs(right) - right
    return wide[top : top + height, left : left + width]


class MovedImages:
    """`views` of each image, moved at random, at one size: number i * views + j is the j-th of image i.

    Made when asked for, the same every time: each from random numbers of its own, drawn from `seed`.
    """

    def __init__(self, images: Images, views: int, height: int, width: int, seed: int) -> None:
        self._images = images
        self._views = views
        self._size = height, width
        self._seed = seed

    def __len__(self) -> int:
        return len(self._images) * self._views

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} moved images, none with the number {index}")
        rng = np.random.default_rng((self._seed, index))
        reach = [int(side * REACH) for side in self._size]
        down, right = (int(rng.integers(-most, most + 1)) for most in reach)
        return moved(self._resized(index // self._views), down, right)

    def _resized(self, number: int) -> NDArray[np.uint8]:
        return resize(np.asarray(self._images[number]), *self._size)
