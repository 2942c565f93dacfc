"""Pictures of a tile's size, cut out of larger ones: at random places to train on, and all tiles of each to judge."""

import hashlib
import tempfile
from collections import OrderedDict
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from rd_core.pictures.fitting_size import fitting_size
from rd_core.pictures.images import Images, counted_of, digest_of
from rd_core.pictures.tiling import Place, Tiling

PIXELS = 2**26
"""most pixels of a training's random crops, unless one of every picture has more: 1,024 crops of 256 x 256. It bounds
the time of the teacher's pass, and the disk for its features"""
PIXELS_REMEMBERED = 2**24
"""most pixels of the crops of a method that remembers what it has seen, unless the whole images have more at the
default size: it would take several times as long on 2**26"""
TIMES_COVERED = 2
"""most random crops of a picture, in multiples of the tiles that cover it"""
DRAWS = 1_000
"""most draws of a place that counts"""
WHOLE = 2
"""most decoded pictures in memory"""


def crops_of_each(tiling: Tiling, pictures: int, *, remembered: bool = False) -> int:
    """Random crops of each of so many pictures. remembered: by a method whose fit grows with them."""
    most = PIXELS
    if remembered:
        size = fitting_size([(tiling.height, tiling.width)])
        most = min(PIXELS, max(PIXELS_REMEMBERED, pictures * size.height * size.width))
    return max(1, min(most // (tiling.tile**2 * pictures), TIMES_COVERED * len(tiling.places)))


class RandomCrops:
    """`each` crops of each picture, of a tile's size: number i * each + j is the j-th of picture i.

    A crop's middle is any pixel that counts, and the crop is then moved inside, so edges are shown about as often as
    a night sees them. Places depend on `seed` alone. A picture is fetched once, when its first crop is asked for;
    crops are kept in a temporary file, so that they may be asked for in any order, by several threads.
    """

    def __init__(self, pictures: Images, tiling: Tiling, each: int, seed: int) -> None:
        """pictures: uint8 (height, width, 3) of the tiling's size."""
        self._pictures, self._tiling, self._each, self._seed = pictures, tiling, each, seed
        self.places = [place for number in range(len(pictures)) for place in self._drawn(number, seed)]
        """of each crop"""
        self._locks = [Lock() for _ in range(len(pictures))]
        self._there = np.zeros(len(pictures), np.bool_)
        shape = (max(1, len(self)), tiling.tile, tiling.tile, 3)
        with tempfile.TemporaryFile() as nameless:  # so that a process that is killed leaves nothing of it
            self._crops = np.memmap(nameless, np.uint8, "w+", shape=shape)

    @property
    def digest(self) -> str | None:
        """See `rd_core.pictures.images.Identified`."""
        pictures = digest_of(self._pictures)
        crops = repr((pictures, self._tiling, self._each, self._seed))
        return None if pictures is None else hashlib.sha256(crops.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.places)

    @property
    def pictures(self) -> int:
        """See `rd_core.pictures.images.CutOut`."""
        return len(self._pictures)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is out of range: there are {len(self)} crops")
        picture = index // self._each
        with self._locks[picture]:
            if not self._there[picture]:
                whole = np.asarray(self._pictures[picture])
                for number in range(picture * self._each, (picture + 1) * self._each):
                    self._crops[number] = self._tiling.cut(whole, self.places[number])
                self._there[picture] = True
        return np.array(self._crops[index])

    def counted(self, index: int) -> NDArray[np.bool_] | None:
        """See `rd_core.pictures.images.PartlyIgnored`."""
        counted = counted_of(self._pictures, index // self._each)
        return None if counted is None else self._tiling.cut(counted, self.places[index])

    def _drawn(self, picture: int, seed: int) -> list[Place]:
        """Of the crops of this picture."""
        random, counted = np.random.default_rng((seed, picture)), counted_of(self._pictures, picture)
        return [self._draw(random, counted) for _ in range(self._each)]

    def _draw(self, random: np.random.Generator, counted: NDArray[np.bool_] | None) -> Place:
        tiling = self._tiling
        for _ in range(DRAWS):
            row, column = random.integers((tiling.height, tiling.width))
            if counted is None or counted[row, column]:
                break
        else:  # hardly anything counts
            row, column = divmod(int(counted.argmax()), tiling.width)  # type: ignore[union-attr]  # None ends the loop
        top, left = (
            min(max(int(middle) - tiling.tile // 2, 0), side - tiling.tile)
            for middle, side in ((row, tiling.height), (column, tiling.width))
        )
        return Place(top, left)


class TilesOf:
    """The tiles of all pictures that have a pixel that counts, one picture's after another's.

    The last few pictures are kept, so in order each is fetched once.
    """

    def __init__(self, pictures: Images, tiling: Tiling) -> None:
        """pictures: uint8 (height, width, 3) of the tiling's size."""
        self._pictures, self._tiling = pictures, tiling
        self.of = [
            (number, place)
            for number in range(len(pictures))
            for place in tiling.counted_places(counted_of(pictures, number))
        ]
        """the picture of each tile, and its place there"""
        self._last: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is out of range: there are {len(self)} tiles")
        picture, place = self.of[index]
        return self._tiling.cut(self._whole(picture), place).copy()  # a view would keep the picture in memory

    def counted(self, index: int) -> NDArray[np.bool_] | None:
        """See `rd_core.pictures.images.PartlyIgnored`."""
        picture, place = self.of[index]
        counted = counted_of(self._pictures, picture)
        return None if counted is None else self._tiling.cut(counted, place)

    def _whole(self, picture: int) -> NDArray[np.uint8]:
        with self._lock:  # also while fetching: threads ask for tiles of one picture at the same time
            if picture not in self._last:
                while len(self._last) >= WHOLE:
                    self._last.popitem(last=False)
                self._last[picture] = np.asarray(self._pictures[picture])
            self._last.move_to_end(picture)
            return self._last[picture]
