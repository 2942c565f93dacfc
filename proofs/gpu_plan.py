"""What a GPU is compared with the CPU on: sizes and images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from rd_core.kernels.precision import default_device

DEVICE = default_device()


@dataclass(frozen=True)
class Plan:
    """Sizes of the comparison."""

    side: int
    """pixels of the images"""
    train: int
    early_stop: int
    calibration: int
    judged: int
    """images to score, every second with a defect"""
    steps: int
    """of methods trained by steps"""
    width: int | None
    """of networks that have one to set; None: the usual one"""
    batches: tuple[int, ...]
    product: int
    """rows and columns of the matrices of the product"""
    copied: int
    """bytes of the copy"""
    seconds: float
    """of each rate"""
    burst: int
    """launches between two waits of a rate"""


ON_CARD = Plan(256, 32, 8, 32, 32, 100, None, (1, 4, 16, 64, 256), 8192, 1 << 30, 0.5, 4)
ON_CPU = Plan(64, 4, 2, 4, 4, 2, 4, (1, 2), 128, 1 << 20, 0.001, 1)
PLAN = ON_CARD if DEVICE.type == "cuda" else ON_CPU


def judged_images() -> NDArray[np.uint8]:
    """Images to score, every second with a darker bar."""
    images = drawn(2000, PLAN.judged)
    third = PLAN.side // 3
    images[1::2, third : third + PLAN.side // 8, third : 2 * third] //= 2
    return images


def drawn(first: int, count: int) -> NDArray[np.uint8]:
    """Synthetic brushed grey, lighter on one side: uint8 (count, side, side, 3), all different."""
    side = PLAN.side
    noise = np.stack([np.random.default_rng(first + n).normal(size=(side, side)) for n in range(count)])
    brushed = gaussian_filter(noise, (0, 0.5, 4)) * 60 + np.linspace(90, 160, side)
    return brushed.clip(0, 255).astype(np.uint8)[..., None].repeat(3, axis=3)


def shown(images: NDArray[np.uint8], *, ignoring: bool) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """The images and which pixels count; if `ignoring` not those of the upper quarter, which are filled."""
    if not ignoring:
        return images, None
    filled, counted = images.copy(), np.ones(images.shape[:3], np.bool_)
    filled[:, : PLAN.side // 4] = 128
    counted[:, : PLAN.side // 4] = False
    return filled, counted
