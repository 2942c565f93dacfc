"""Random patches that a teacher learns from."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.uninformed_students.kept_images import KeptImages
from rd_core.pictures.preprocessing import resize

SHIFT = 1 / 8
"""most that a positive is moved, as a share of its window's side"""
LUMINANCE = 0.2
"""most that a positive gets lighter or darker, as a share"""
NOISE = 4.0
"""standard deviation, in grey levels, of the noise in a positive"""
GREY = 0.1
"""share of patches without colour"""
COLOUR = 0.3
"""most that strong augmentation changes a channel's contrast, as a share, and its level, as a share of 255"""
Random = np.random.Generator


class Patches(NamedTuple):
    """Anchors and positives of one step, uint8 (B, p, p, 3)."""

    anchors: NDArray[np.uint8]
    positives: NDArray[np.uint8]
    """the same places, slightly moved, lighter or darker, and with noise"""
    numbers: NDArray[np.int64]
    """(B,) of the images that show them"""


def draw(images: KeptImages, count: int, scale: int, random: Random, *, general: bool) -> Patches:
    """Draw patches from as many images as there are.

    general: windows are a sixteenth to a quarter of a natural image wide, as in the paper. Otherwise they are half to
    twice as wide as those that the networks see of normals, and strongly augmented: turned, mirrored, and changed in
    colour. The middle of none is ignored, unless an image has nothing else.
    """
    numbers = np.resize(random.permutation(len(images)), count)
    chosen, rows = np.unique(numbers, return_inverse=True)
    pixels, counted = images.pixels(chosen.tolist()), images.counted(chosen.tolist())
    anchors, positives = np.empty((2, count, scale, scale, 3), np.uint8)
    for at, row in enumerate(rows):
        wide = min(images.size) / random.uniform(4, 16) if general else scale * 2 ** random.uniform(-1, 1)
        middle = _middle(images.size, None if counted is None else counted.pixels[row].numpy(), random)
        pair = _windows(pixels[row], middle, wide, scale, random)
        pair = pair if general else _augmented(pair, random)
        if random.random() < GREY:
            pair = pair.mean(axis=3, keepdims=True).repeat(3, axis=3)
        pair[1] = pair[1] * (1 + random.uniform(-LUMINANCE, LUMINANCE)) + random.normal(0, NOISE, pair[1].shape)
        anchors[at], positives[at] = np.clip(pair, 0, 255)
    return Patches(anchors, positives, numbers)


def _middle(size: tuple[int, int], counted: NDArray[np.bool_] | None, random: Random) -> NDArray[np.int64]:
    """(row, column) of a pixel that counts, if any does."""
    places = np.arange(size[0] * size[1]) if counted is None or not counted.any() else np.flatnonzero(counted)
    return np.array(divmod(random.choice(places), size[1]))


def _windows(
    image: NDArray[np.uint8], middle: NDArray[np.int64], wide: float, scale: int, random: Random
) -> NDArray[np.float32]:
    """Two square windows within the image, the second slightly moved: (2, scale, scale, 3), resized."""
    side = int(np.clip(round(wide), 4, min(image.shape[:2])))
    moved = middle + np.rint(random.uniform(-SHIFT, SHIFT, 2) * side).astype(int)
    windows = np.empty((2, scale, scale, 3), np.float32)
    for number, centre in enumerate((middle, moved)):
        top, left = np.clip(centre - side // 2, 0, np.array(image.shape[:2]) - side)
        window = np.ascontiguousarray(image[top : top + side, left : left + side])
        windows[number] = resize(window, scale, scale)
    return windows


def _augmented(pair: NDArray[np.float32], random: Random) -> NDArray[np.float32]:
    """Both windows (2, p, p, 3), turned, mirrored and changed in colour alike."""
    pair = np.rot90(pair, int(random.integers(4)), axes=(1, 2))
    pair = pair[:, :, ::-1] if random.random() < 0.5 else pair
    contrast, level = 1 + random.uniform(-COLOUR, COLOUR, 3), random.uniform(-COLOUR, COLOUR, 3) * 255
    return ((pair - 127.5) * contrast + 127.5 + level).astype(np.float32)
