"""The normals of a category, read one at a time for training."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from rd_core.pictures.alignment import Offset
from rd_core.pictures.image_statistics import ImageStatistics
from rd_core.pictures.read_ahead import read_ahead
from storage.filesystem import Store
from storage.images import list_images
from storage.labels import labels
from tasks.training.parts import parts_of_keys
from tasks.worker.picture_reader import read_picture
from tasks.worker.preprocessing import PREPROCESSING_VERSION, ImageFormat

_EXAMPLES = 3
"""left-out images named in a message; the model card has all"""


@dataclass(frozen=True)
class NormalImages:
    """Readable normals, each content once."""

    keys: tuple[str, ...]
    """sorted"""
    data_digest: str
    """SHA-256 over keys and contents: models of one digest saw the same images"""
    duplicates: tuple[str, ...]
    """keys whose bytes another key has: a copy in training and calibration would flatter the threshold"""
    unreadable: tuple[tuple[str, str], ...]
    """(key, why)"""
    statistics: Mapping[str, ImageStatistics]
    """of the resized picture, by key"""
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """own height and width, by key"""
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 (hex) of the bytes, by key"""
    offsets: Mapping[str, Offset] = field(default_factory=dict)
    """where the part lies, by key; empty without alignment"""
    unlabelled: tuple[date, ...] = ()
    """production days whose images these are, whatever their label; empty: labelled ones"""

    @property
    def left_out(self) -> str | None:
        """Number of unused normals and the reasons, in a sentence; None if all are used."""
        reasons = []
        if self.unreadable:
            parts = [f"{key}: {why}" for key, why in self.unreadable]
            reasons.append(f"{len(parts)} unreadable ({_some(parts)})")
        if self.duplicates:
            reasons.append(f"{len(self.duplicates)} duplicates of another one's bytes ({_some(self.duplicates)})")
        if not reasons:
            return None
        left = len(self.unreadable) + len(self.duplicates)
        called = "images" if self.unlabelled else "labelled normals"
        return f"{left} of {left + len(self.keys)} {called} are not used: {', '.join(reasons)}."

    @property
    def names(self) -> list[str]:
        """The last part of each key, which a part pattern is matched against."""
        return [PurePosixPath(key).name for key in self.keys]

    def parts(self, pattern: str | None) -> list[str]:
        """The part of each image. Raises ConfigError, see `parts_of_keys`."""
        return parts_of_keys(self.keys, pattern, must_match=True)


class PixelSource:
    """Pixels of images by index, uint8 (height, width, 3), read and decoded on access, never all in memory."""

    def __init__(self, images: Store, keys: Sequence[str], image_format: ImageFormat, normals: NormalImages) -> None:
        """keys: some of those of the normals, seen by this format."""
        self._images = images
        self._keys = keys
        self._format = image_format
        self._normals = normals

    @property
    def picture_bytes(self) -> int:
        """Of one image."""
        return self._format.picture_bytes

    @property
    def digest(self) -> str:
        """See `rd_core.pictures.images.Identified`."""
        form = self._format
        seen = [self._normals.data_digest, list(self._keys), PREPROCESSING_VERSION, form.view.to_dict()]
        levels = [form.white_level, form.black_level]
        return hashlib.sha256(json.dumps([*seen, levels], sort_keys=True).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._format.prepare(self._images.read(self._keys[index])).pixels

    def counted(self, index: int) -> NDArray[np.bool_] | None:
        """See `rd_core.pictures.images.PartlyIgnored.counted`."""
        view, key, normals = self._format.view, self._keys[index], self._normals
        return None if view.counts_all else view.counted(normals.sizes[key], offset=normals.offsets.get(key))


def unlabelled_keys(store: Store, images: Store, category: str, days: Sequence[date]) -> list[str]:
    """Every image of these production days, but those that somebody calls anomalous or that are kept for
    evaluation."""
    refused = {
        row["image_key"]
        for row in labels.read_labels(store, category).to_pylist()
        if row["label"] == "anomalous" or row["purpose"] == "evaluation"
    }
    refused |= {one.image_key for one in labels.contradictions(labels.read_label_history(store, category))}
    return [info.key for day in days for info in list_images(images, category, day) if info.key not in refused]


def read_normal_images(images: Store, keys: Sequence[str], image_format: ImageFormat) -> NormalImages:
    """Read every image of these keys once, for its content and whether it decodes."""
    first: dict[str, str] = {}
    statistics: dict[str, ImageStatistics] = {}
    sizes: dict[str, tuple[int, int]] = {}
    offsets: dict[str, Offset] = {}
    duplicates: list[str] = []
    unreadable: list[tuple[str, str]] = []
    pictures = read_ahead(partial(read_picture, images, image_format), keys, image_format.picture_bytes)
    for key, picture in zip(keys, pictures, strict=True):
        if picture.digest is None or picture.statistics is None or picture.size is None:
            unreadable.append((key, picture.error or picture.status))
        elif first.setdefault(picture.digest, key) != key:
            duplicates.append(key)
        else:
            statistics[key], sizes[key] = picture.statistics, picture.size
            if picture.offset is not None:
                offsets[key] = picture.offset
    digests = {key: digest for digest, key in first.items()}
    return NormalImages(
        keys=tuple(sorted(digests)),
        data_digest=hashlib.sha256(
            "\n".join(f"{key}\t{digests[key]}" for key in sorted(digests)).encode()
        ).hexdigest(),
        duplicates=tuple(duplicates),
        unreadable=tuple(unreadable),
        statistics=statistics,
        sizes=sizes,
        digests=digests,
        offsets=offsets,
    )


def _some(reasons: Sequence[str]) -> str:
    more = len(reasons) - _EXAMPLES
    return "; ".join([*reasons[:_EXAMPLES], *([f"and {more} more"] if more > 0 else [])])
