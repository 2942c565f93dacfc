"""A scorer that reads its answers from the picture: what a task does with scores is tested without a network."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.image_view import ImageView
from storage.errors import UnreadableImage
from tasks.worker.picture_reader import LoadedPicture, stacked
from tasks.worker.preprocessing import ImageFormat, SeenPicture

SIDE = 32
_UNIT = 20
"""grey levels of a score of 1"""


def told_picture(
    seed: int, score: float, second: float = 0.0, defect: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """uint8 (SIDE, SIDE, 3): noise of its own for every seed; the first pixel tells two models' scores, the third
    channel the defect."""
    picture = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 1), dtype=np.uint8).repeat(3, axis=2)
    picture[0, 0, :2] = round(score * _UNIT), round(second * _UNIT)
    picture[..., 2] = 0 if defect is None else defect * 255
    return picture


def png_of(picture: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


@dataclass(frozen=True)
class _Model:
    channel: int
    inverted: bool

    def score(self, images: NDArray[np.uint8]) -> AnomalyMaps:
        scores = images[:, 0, 0, self.channel].astype(np.float32) / _UNIT
        maps = images[..., 2].astype(np.float32) / 255
        return AnomalyMaps(1 - maps if self.inverted else maps, scores, scores)


class _Unresized(ImageFormat):
    """What is told would not outlive another size."""

    def see(self, picture: NDArray[np.uint8]) -> SeenPicture:
        if picture.shape[:2] != (SIDE, SIDE):
            raise UnreadableImage(f"{picture.shape[:2]} is not the size of these tests")
        return SeenPicture(picture, (SIDE, SIDE), None, None)


@dataclass(frozen=True)
class ToldScorer:
    """Stands for tasks.worker.scorer.Scorer; `channel` 0 tells the first score of a picture, 1 the second."""

    threshold: np.float32
    channel: int = 0
    inverted: bool = False
    """its maps are dark at defects and light elsewhere"""
    image_format: ClassVar[ImageFormat] = _Unresized(ImageView(SIDE, SIDE))
    map_size: ClassVar[tuple[int, int]] = (SIDE, SIDE)

    def score(self, pictures: Sequence[LoadedPicture]) -> AnomalyMaps:
        return _Model(self.channel, self.inverted).score(stacked(pictures))
