"""Square tiles that cover a picture."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rd_core.errors import ConfigError
from rd_core.pictures.image_view import ImageView

Pixel = TypeVar("Pixel", np.uint8, np.bool_)
GRID = 4
"""pixels: tiles start at multiples of it, so that maps at stride 1, 2 and 4 join without resampling"""


class Place(NamedTuple):
    """A tile's upper left corner."""

    top: int
    """pixels"""
    left: int


@dataclass(frozen=True)
class Tiling:
    """The tiles of pictures of one size: as few as overlap enough, evenly spread, the last flush with the edge."""

    height: int
    """pixels of the picture, a multiple of GRID"""
    width: int
    tile: int
    """side in pixels, a multiple of GRID, at most the picture's sides"""
    overlap: int
    """pixels that neighbouring tiles share at least, at most half of the tile"""

    def __post_init__(self) -> None:
        sides = self.height, self.width, self.tile
        if min(sides) <= 0 or any(side % GRID for side in sides):
            raise ConfigError(
                f"tiles of {self.tile} pixels in a picture of {self.height} x {self.width}: all three must be "
                f"multiples of {GRID} pixels, or the tiles' maps would not join. Give such sides."
            )
        if self.tile > min(self.height, self.width):
            raise ConfigError(
                f"a tile of {self.tile} pixels does not fit into a picture of {self.height} x {self.width} (height x "
                "width), so nothing could be scored. Give a smaller tile, or a larger image_size."
            )
        if not 0 <= self.overlap <= self.tile // 2:
            raise ConfigError(
                f"overlap {self.overlap} is not in [0, {self.tile // 2}]: tiles of {self.tile} pixels share at most "
                "a half. Give one inside."
            )

    @classmethod
    def of(cls, view: ImageView) -> "Tiling | None":
        """The tiles of a view; None: it has none."""
        return None if view.tile is None else cls(view.height, view.width, view.tile, view.overlap)

    @cached_property
    def tops(self) -> tuple[int, ...]:
        """Upper edges of the rows of tiles, ascending."""
        return _starts(self.height, self.tile, self.overlap)

    @cached_property
    def lefts(self) -> tuple[int, ...]:
        """Left edges of the columns of tiles, ascending."""
        return _starts(self.width, self.tile, self.overlap)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """All tiles, row by row."""
        return tuple(Place(top, left) for top in self.tops for left in self.lefts)

    def counted_places(self, counted: NDArray[np.bool_] | None) -> tuple[Place, ...]:
        """The tiles of a picture with a pixel that counts, by bool (height, width); None: all."""
        if counted is None:
            return self.places
        return tuple(place for place in self.places if self.cut(counted, place).any())

    @property
    def cost(self) -> float:
        """Pixels of all tiles as a share of the picture's."""
        return len(self.places) * self.tile**2 / (self.height * self.width)

    def cut(self, picture: NDArray[Pixel], place: Place) -> NDArray[Pixel]:
        """The tile of an array (height, width, ...), a view into it. Raises ValueError for another size."""
        if picture.shape[:2] != (self.height, self.width):
            raise ValueError(
                f"a picture of {picture.shape[:2]} is not of the size {(self.height, self.width)} that the "
                "tiles cover, so they would show other places. Resize it first."
            )
        return picture[place.top : place.top + self.tile, place.left : place.left + self.tile]


def pixels_seen(view: ImageView) -> int:
    """Pixels that a network sees of an image; those that tiles share count in each."""
    tiling = Tiling.of(view)
    return view.height * view.width if tiling is None else len(tiling.places) * tiling.tile**2


def _starts(side: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Multiples of GRID from 0 to side - tile, neighbours at most tile - overlap apart."""
    room, step = (side - tile) // GRID, max(1, (tile - overlap) // GRID)
    gaps = -(-room // step)
    return tuple(GRID * (number * room // gaps) for number in range(gaps + 1)) if gaps else (0,)
