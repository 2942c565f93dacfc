"""The versioned processing between an image's bytes and the model, which scores no pixels of another version."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rd_core.pictures.alignment import Offset
from rd_core.pictures.image_view import ImageView
from rd_core.pictures.images import RESIZING_VERSION
from storage.images import DECODING_VERSION, MAX_PIXELS, decode, room_for
from storage.models.card import ModelCard, Preprocessing

PREPROCESSING_VERSION = f"{DECODING_VERSION}+{RESIZING_VERSION}"
"""in every model card and every score row"""


class SeenPicture(NamedTuple):
    """What a model sees of a picture."""

    pixels: NDArray[np.uint8]
    """uint8 (height, width, 3) of the view"""
    size: tuple[int, int]
    """height and width of the picture itself"""
    counted: NDArray[np.bool_] | None
    """bool (height, width), False in ignored regions and beyond an aligned picture; None: every pixel counts"""
    offset: Offset | None
    """where the part lies; None if pictures are not aligned"""


@dataclass(frozen=True)
class ImageFormat:
    """The processing from a file's bytes to a model's pixels: decoding, then the view."""

    view: ImageView
    white_level: float | None = None
    """see `storage.images.decode`, as the next two"""
    max_pixels: int = MAX_PIXELS
    black_level: float | None = None

    @classmethod
    def of(cls, kept: Preprocessing) -> Self:
        """The preprocessing of a model card. Raises ConfigError for a view of another release."""
        return cls(ImageView.from_dict(kept.view), kept.white_level, kept.max_pixels, kept.black_level)

    @property
    def picture_bytes(self) -> int:
        """Of a prepared picture."""
        return 3 * self.view.height * self.view.width

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """Bytes of an image -> uint8 (H, W, 3), in its own size. Raises UnreadableImage."""
        return decode(data, white_level=self.white_level, black_level=self.black_level, max_pixels=self.max_pixels)

    def see(self, picture: NDArray[np.uint8]) -> SeenPicture:
        """Of uint8 (H, W, 3), RGB. Raises ViewImpossible, AlignmentUnavailable."""
        size = picture.shape[0], picture.shape[1]
        offset = self.view.offset(picture)
        return SeenPicture(self.view.pixels(picture, offset), size, self.view.counted(size, offset=offset), offset)

    def prepare(self, data: bytes) -> SeenPicture:
        """Of the bytes of an image. Raises UnreadableImage, and as `see`."""
        with room_for(data):
            return self.see(self.decode(data))


class OtherPreprocessing(Exception):
    """A model trained with another preprocessing than this release's."""


def check_preprocessing(card: ModelCard) -> None:
    """Raises OtherPreprocessing unless the card's preprocessing is this release's."""
    if why := why_unusable(card):
        raise OtherPreprocessing(why)


def why_unusable(card: ModelCard) -> str | None:
    """Why the card's model cannot score any more, and the cure; None if it can."""
    made_with = card.preprocessing.version
    if made_with == PREPROCESSING_VERSION:
        return None
    return (
        f"Model {card.version} of {card.category} was made with the preprocessing {made_with!r}, and this release "
        f"uses {PREPROCESSING_VERSION!r}: its threshold would not hold, so it scores nothing. "
        f"Train again: rd-inspect train --category {card.category} --promote"
    )
