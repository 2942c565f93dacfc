"""The size at which a method sees images, from the images' own sizes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from rd_core.errors import ConfigError
from rd_core.pictures.tiling import GRID

SIDE_STEP = 32
"""sides of a network's input are multiples of it"""
LEAST_PIXELS = 256 * 256
"""of an input, to which smaller images are enlarged: at their own size less is found (docs/decisions/0049)"""
MOST_PIXELS = 512 * 512
"""of an input: four times the time of LEAST_PIXELS"""
SHARE_OF_PIXELS = 0.25
"""of the images' pixels: half of each side"""
SAME_SHAPE = 0.05
"""largest relative difference from the median aspect of images of one shape"""
ODD_ONES = 0.05
"""largest share of images of other shapes"""


@dataclass(frozen=True)
class FittingSize:
    """A size that fits the images, and why."""

    height: int
    width: int
    why: str
    """in words"""
    shrinking: float = 1.0
    """side, in pixels of an image, of what a pixel of this size shows"""

    @property
    def cost(self) -> float:
        """Time of training and of scoring, as a multiple of that of 256 x 256."""
        return self.height * self.width / LEAST_PIXELS


def fitting_size(sizes: Sequence[tuple[int, int]]) -> FittingSize:
    """Choose height and width, multiples of 32, for images of these (height, width).

    Images of one shape keep it, at SHARE_OF_PIXELS of the median image's pixels, within LEAST_PIXELS and MOST_PIXELS;
    those of several shapes become square. Raises ConfigError without images.
    """
    if not sizes:
        raise ConfigError("there is no readable image to choose an image_size by. Set one, such as image_size = 256.")
    shapes = np.asarray(sizes, dtype=np.float64)
    pixels = float(np.median(shapes.prod(axis=1)))
    aspects = shapes[:, 1] / shapes[:, 0]
    aspect = float(np.median(aspects))
    odd = np.abs(np.log(aspects / aspect)) > math.log1p(SAME_SHAPE)
    if odd.mean() > ODD_ONES:
        low, high = np.quantile(aspects, (0.05, 0.95))
        shapes_differ = f"their shapes differ, {low:.2g} to {high:.2g} times as wide as high, so they become square"
        return _fitting(pixels, 1, shapes_differ)
    height = math.sqrt(pixels / aspect)
    one_shape = f"all have about the shape of {height:,.0f} x {height * aspect:,.0f} pixels, which it keeps"
    return _fitting(pixels, aspect, one_shape)


def _fitting(pixels: float, aspect: float, why: str) -> FittingSize:
    room = min(max(pixels * SHARE_OF_PIXELS, LEAST_PIXELS), MOST_PIXELS)
    height, width = nearest_sides(room, aspect)
    return FittingSize(height, width, why, math.sqrt(pixels / (height * width)))


def own_size(sizes: Sequence[tuple[int, int]], tile: int) -> FittingSize:
    """The median height and width of images of these (height, width), for tiles of this side to cover."""
    height, width = (max(tile, round(float(side) / GRID) * GRID) for side in np.median(sizes, axis=0))
    return FittingSize(height, width, f"tiles of {tile} pixels cover the images at their own size")


def nearest_sides(pixels: float, aspect: float) -> tuple[int, int]:
    """The (height, width) of about so many pixels that bends the aspect (width / height) little."""
    height = math.sqrt(pixels / aspect)
    steps = [math.floor(side / SIDE_STEP) for side in (height, height * aspect)]
    near = product(*[[max(1, step) * SIDE_STEP, (step + 1) * SIDE_STEP] for step in steps])

    def strain(sides: tuple[int, ...]) -> float:
        return abs(math.log(sides[1] / sides[0] / aspect)) + abs(math.log(sides[0] * sides[1] / pixels)) / 2

    best = min(near, key=strain)
    return best[0], best[1]
