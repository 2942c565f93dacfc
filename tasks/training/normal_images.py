"""The labelled normals of a category, read one at a time: what a model is trained on."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from rd_core.calibration import holdout
from rd_core.pictures.preprocessing import resize
from storage.errors import InvalidKey, KeyNotFound, ObjectDenied, UnreadableImage
from storage.labels import labels
from storage.pictures.images import content_digest, decode, decode_options
from storage.stores.filesystem import Store

READERS = 4
_EXAMPLES = 3
"""of what is left out, told by name; the model card has all"""


@dataclass(frozen=True)
class ImageFormat:
    """How bytes become the networks' pixels."""

    height: int
    width: int
    white_level: float | None
    max_pixels: int
    black_level: float | None = None


@dataclass(frozen=True)
class NormalImages:
    """Labelled normals that can be read, each content once."""

    keys: tuple[str, ...]
    """sorted"""
    data_digest: str
    """SHA-256 over keys and contents: two models of one digest saw the same images"""
    duplicates: tuple[str, ...]
    """keys whose bytes another key has too: a copy in training and calibration would flatter the threshold"""
    unreadable: tuple[tuple[str, str], ...]
    """(key, why)"""

    @property
    def left_out(self) -> str | None:
        """How many of the labelled normals are not used and why, in a sentence; None if all are."""
        reasons = []
        if self.unreadable:
            told = [f"{key}: {why}" for key, why in self.unreadable]
            reasons.append(f"{len(told)} unreadable ({_some(told)})")
        if self.duplicates:
            reasons.append(f"{len(self.duplicates)} duplicates of another one's bytes ({_some(self.duplicates)})")
        if not reasons:
            return None
        left = len(self.unreadable) + len(self.duplicates)
        return f"{left} of {left + len(self.keys)} labelled normals are not used: {', '.join(reasons)}."

    @property
    def names(self) -> list[str]:
        """The last part of each key, which a part pattern is matched against."""
        return [PurePosixPath(key).name for key in self.keys]

    def parts(self, pattern: str | None) -> list[str]:
        """The part that each image shows; without a pattern its key, for cameras number from 1 again every night.
        ConfigError as rd_core.calibration.holdout.parts_of."""
        return list(self.keys) if pattern is None else holdout.parts_of(self.names, pattern)


class PixelSource:
    """Pixels of images by index, uint8 (height, width, 3), read and decoded on each access: never all in memory."""

    def __init__(self, images: Store, keys: Sequence[str], image_format: ImageFormat) -> None:
        self._images = images
        self._keys = keys
        self._format = image_format

    def __len__(self) -> int:
        return len(self._keys)

    def of(self, indices: Sequence[int]) -> "PixelSource":
        """These images alone."""
        return PixelSource(self._images, [self._keys[index] for index in indices], self._format)

    def __getitem__(self, index: int) -> np.ndarray:
        return _pixels(self._images.read(self._keys[index]), self._format)


def find_normal_images(store: Store, images: Store, category: str, image_format: ImageFormat) -> NormalImages:
    """Read every image labelled normal once, to know its content and that it decodes."""
    return read_normal_images(images, labels.normal_image_keys(store, category), image_format)


def read_normal_images(images: Store, keys: Sequence[str], image_format: ImageFormat) -> NormalImages:
    """The same of the given keys."""

    def look(key: str) -> tuple[str | None, str | None]:
        try:
            data = images.read(key)
            _pixels(data, image_format)
        except KeyNotFound:
            return None, "the file is not there"
        except (UnreadableImage, InvalidKey, ObjectDenied) as e:
            return None, str(e)
        return content_digest(data), None

    with ThreadPoolExecutor(READERS) as pool:
        found = dict(zip(keys, pool.map(look, keys), strict=True))
    kept: dict[str, str] = {}
    for key, (digest, _) in found.items():
        if digest is not None:
            kept.setdefault(digest, key)
    chosen = sorted(kept.values())
    by_key = {key: digest for digest, key in kept.items()}
    return NormalImages(
        keys=tuple(chosen),
        data_digest=hashlib.sha256("\n".join(f"{key}\t{by_key[key]}" for key in chosen).encode()).hexdigest(),
        duplicates=tuple(key for key, (digest, _) in found.items() if digest is not None and kept[digest] != key),
        unreadable=tuple((key, why) for key, (_, why) in found.items() if why is not None),
    )


def _some(told: Sequence[str]) -> str:
    more = len(told) - _EXAMPLES
    return "; ".join([*told[:_EXAMPLES], *([f"and {more} more"] if more > 0 else [])])


def _pixels(data: bytes, image_format: ImageFormat) -> np.ndarray:
    picture = decode(data, **decode_options(vars(image_format)))
    return resize(picture, image_format.height, image_format.width)
