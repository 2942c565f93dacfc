"""What a fit to tiles learns from and judges: random crops of the normals, and all tiles of each."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.detector import CrossFit, JudgedImages, Normals
from rd_core.maps.joining import JoinedTiles
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.images import Images, JoinedImages
from rd_core.pictures.tile_images import RandomCrops, TilesOf, crops_of_each
from rd_core.pictures.tiling import Place, Tiling
from tasks.training.calibration import HeldOutNormals


def in_words(tiling: Tiling, normals: int, *, remembered: bool) -> str:
    """What a training on so many normals and a night do, for people. remembered: see `crops_of_each`."""
    each, side, tiles = crops_of_each(tiling, normals, remembered=remembered), tiling.tile, len(tiling.places)
    why = ", few because this method's training grows with them" if remembered else ""
    return (
        f"it learns from {each * normals:,} random crops of {side} x {side} pixels, {each} of each normal{why}, and "
        f"scores an image of {tiling.height} x {tiling.width} pixels in {tiles:,} tiles, each at the cost of an "
        f"image of {side} x {side}"
    )


class TiledNormals:
    """Random crops to fit a detector to, and whole images judged by their tiles. A crop and a tile show their image's
    part, so no tile is judged by a model that has seen its part."""

    def __init__(
        self, train: Images, early_stop: Images, tiling: Tiling, seed: int, *, remembered: bool = False
    ) -> None:
        """train, early_stop: whole images of the tiling's size. remembered: see `crops_of_each`."""
        self._images, self._tiling = JoinedImages(train, early_stop), tiling
        self.each = crops_of_each(tiling, len(train), remembered=remembered)
        """crops of an image"""
        self.crops = Normals(
            RandomCrops(train, tiling, self.each, seed), RandomCrops(early_stop, tiling, self.each, seed + 1)
        )

    def cross(self, held_out: HeldOutNormals, *, maximum_is_score: bool) -> CrossFit:
        """Asks a fit to the crops to judge every image, as a night does. held_out: the training images, then the
        early-stop images."""
        tiles, parts = TilesOf(self._images, self._tiling), held_out.parts
        court = _Court(self._tiling, tiles.of, self.each, held_out, maximum_is_score=maximum_is_score)
        others = JudgedImages(tiles, [parts[image] for image, _ in tiles.of])
        return CrossFit(np.repeat(parts, self.each).tolist(), court.set_aside, court.judge, others)


class _Court:
    """Joins the tiles of each image before it is judged."""

    def __init__(
        self,
        tiling: Tiling,
        tiles: Sequence[tuple[int, Place]],
        each: int,
        held_out: HeldOutNormals,
        *,
        maximum_is_score: bool,
    ) -> None:
        """tiles: the image of each, and its place there. each: crops of an image."""
        self._tiling, self._tiles, self._each, self._held_out = tiling, tiles, each, held_out
        self._maximum_is_score = maximum_is_score
        self._wanted = Counter(image for image, _ in tiles)
        self._open: dict[int, JoinedTiles] = {}
        """by image; one or two, since an image's tiles come one after the other"""

    def set_aside(self, scores: NDArray[np.float64]) -> list[int]:
        """The crops of images whose highest tile is suspicious."""
        highest = np.zeros(len(self._wanted))
        np.maximum.at(highest, [image for image, _ in self._tiles], scores)
        aside = self._held_out.set_aside(highest)
        return [image * self._each + crop for image in aside for crop in range(self._each)]

    def judge(self, numbers: Sequence[int], found: AnomalyMaps) -> None:
        """Take these tiles; an image is judged when its last has come."""
        stride = self._tiling.tile // found.maps.shape[1]
        for number, *of_tile in zip(numbers, *found, strict=True):
            image, place = self._tiles[number]
            if image not in self._open:
                values = np.zeros((self._tiling.height // stride, self._tiling.width // stride), np.float32)
                self._open[image] = JoinedTiles(self._tiling, values, maximum_is_score=self._maximum_is_score)
            self._open[image].add(place, *of_tile)
            if self._open[image].tiles == self._wanted[image]:
                self._held_out.judge([image], self._open.pop(image).result())
