"""Everything between an image's bytes and the networks, and its version: no model scores pixels made another way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.reverse_distillation.settings import RESIZING_VERSION
from storage.pictures.images import DECODING_VERSION, MAX_PIXELS, decode

PREPROCESSING_VERSION = f"{DECODING_VERSION}+{RESIZING_VERSION}"
"""in every model card and every score row"""


@dataclass(frozen=True)
class ImageFormat:
    """How the bytes of a file become the pixels that a model takes."""

    height: int
    width: int
    white_level: float | None = None
    """see `storage.pictures.images.decode`, as the next two"""
    max_pixels: int = MAX_PIXELS
    black_level: float | None = None

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """Bytes of an image -> uint8 (H, W, 3), of its own size. Raises UnreadableImage."""
        return decode(data, white_level=self.white_level, black_level=self.black_level, max_pixels=self.max_pixels)

    def fit(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 (H, W, 3) -> uint8 (height, width, 3)"""
        from rd_core.pictures.preprocessing import resize  # noqa: PLC0415  # brings torch, which plans and cards are spared

        return resize(picture, self.height, self.width)

    def prepare(self, data: bytes) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Bytes of an image -> uint8 (height, width, 3), and its own (height, width). Raises UnreadableImage."""
        picture = self.decode(data)
        return self.fit(picture), picture.shape[:2]


class OtherPreprocessing(Exception):
    """A model that learnt from pixels which this release would make differently."""


def check_preprocessing(category: str, version: str, card: Mapping[str, Any]) -> None:
    """OtherPreprocessing unless the model of that card was made with the preprocessing of this release."""
    if why := why_unusable(category, version, card):
        raise OtherPreprocessing(why)


def why_unusable(category: str, version: str, card: Mapping[str, Any]) -> str | None:
    """Why the model of that card scores nothing any more, and the cure; None if it does."""
    made_with = card.get("preprocessing")
    if made_with == PREPROCESSING_VERSION:
        return None
    return (
        f"Model {version} of {category} was made with the preprocessing {made_with!r}, and this release makes "
        f"pixels by {PREPROCESSING_VERSION!r}: its threshold would not hold for them, so it scores nothing. "
        f"Train again: rd-inspect train --category {category} --promote"
    )
