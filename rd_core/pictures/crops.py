"""Pictures of a tile's size, cut out of larger ones: at random places to train on, and all tiles of each to judge."""

import tempfile
from collections import OrderedDict
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from rd_core.pictures.images import Images
from rd_core.pictures.tiling import Place, Tiling

PIXELS = 2**26
"""most pixels of a training's random crops, unless one of every picture has more: 1,024 crops of 256 x 256. It bounds
the time of the teacher's pass, and the disk for its features"""
TIMES_COVERED = 2
"""most random crops of a picture, in multiples of the tiles that cover it"""
WHOLE = 2
"""most decoded pictures in memory, and one more for each thread that waits for one"""


def crops_of_each(tiling: Tiling, pictures: int) -> int:
    """Random crops of each of so many pictures."""
    return max(1, min(PIXELS // (tiling.tile**2 * pictures), TIMES_COVERED * len(tiling.places)))


class RandomCrops:
    """`each` crops of each picture, of a tile's size: number i * each + j is the j-th of picture i.

    A crop's middle is anywhere in the picture, and the crop is then moved inside, so the edges are shown about as
    often as a night sees them. Places depend on `seed` alone. A picture is fetched once, when its first crop is asked
    for; crops are kept in a temporary file, so that they may be asked for in any order.
    """

    def __init__(self, pictures: Images, tiling: Tiling, each: int, seed: int) -> None:
        """pictures: uint8 (height, width, 3) of the tiling's size."""
        self._pictures, self._tiling, self._each, self._seed = pictures, tiling, each, seed
        self._locks = [Lock() for _ in range(len(pictures))]
        self._there = np.zeros(len(pictures), np.bool_)
        shape = (max(1, len(self)), tiling.tile, tiling.tile, 3)
        with tempfile.TemporaryFile() as nameless:  # so that a process that is killed leaves nothing of it
            self._crops = np.memmap(nameless, np.uint8, "w+", shape=shape)

    def __len__(self) -> int:
        return len(self._pictures) * self._each

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is out of range: there are {len(self)} crops")
        picture = index // self._each
        with self._locks[picture]:
            if not self._there[picture]:
                self._cut(picture)
                self._there[picture] = True
        return np.array(self._crops[index])

    def places(self, picture: int) -> list[Place]:
        """Of its crops."""
        tiling, random = self._tiling, np.random.default_rng((self._seed, picture))
        middles = random.integers((tiling.height, tiling.width), size=(self._each, 2))
        corners = np.clip(middles - tiling.tile // 2, 0, (tiling.height - tiling.tile, tiling.width - tiling.tile))
        return [Place(*corner) for corner in corners.tolist()]

    def _cut(self, picture: int) -> None:
        whole = np.asarray(self._pictures[picture])
        for number, place in enumerate(self.places(picture), start=picture * self._each):
            self._crops[number] = self._tiling.cut(whole, place)


class TilesOf:
    """The tiles of all pictures, one picture's after another's: number i * t + k is the k-th of picture i's t tiles.

    The last few pictures are kept, so in order each is fetched once.
    """

    def __init__(self, pictures: Images, tiling: Tiling) -> None:
        """pictures: uint8 (height, width, 3) of the tiling's size."""
        self._pictures, self._tiling = pictures, tiling
        self._last: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._pictures) * len(self._tiling.places)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is out of range: there are {len(self)} tiles")
        picture, tile = divmod(index, len(self._tiling.places))
        return self._tiling.cut(
            self._whole(picture), self._tiling.places[tile]
        ).copy()  # a view would keep the picture

    def _whole(self, picture: int) -> NDArray[np.uint8]:
        with self._lock:  # also while fetching: threads ask for tiles of one picture at the same time
            if picture not in self._last:
                while len(self._last) >= WHOLE:
                    self._last.popitem(last=False)
                self._last[picture] = np.asarray(self._pictures[picture])
            self._last.move_to_end(picture)
            return self._last[picture]
