"""The model card: all that one must know to trust, repeat or question a model version, of whatever method."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from storage.errors import CorruptObject
from storage.stores import checked_json, json_records

CARD_VERSION = 1


@dataclass(frozen=True)
class Method:
    """What finds anomalies. Its settings are its own: only it can tell whether they are right."""

    name: str
    """of the registry"""
    settings: Mapping[str, Any]
    """JSON, all of them"""
    teacher_weights: str | None
    """path of the file that the backbone came from; None: the one of its package"""


@dataclass(frozen=True)
class Fit:
    """How the method learnt."""

    summary: str
    """in a few words"""
    figures: Mapping[str, Any]
    """JSON by names of the method's own: steps, losses, what ended it"""
    seconds: float


@dataclass(frozen=True)
class Preprocessing:
    """What becomes of a picture before the method sees it."""

    version: str
    """of decoding and resizing; no release that does them differently scores by this model"""
    height: int
    """pixels that pictures are resized to"""
    width: int
    white_level: float | None
    """grey value of more than 8 bits that becomes 255; None: the highest the file can hold"""
    black_level: float | None
    """likewise 0; None: 0"""
    max_pixels: int
    """a larger picture is refused"""

    @property
    def decoding(self) -> dict[str, Any]:
        """The arguments of storage.images.decode."""
        return {name: getattr(self, name) for name in ("white_level", "black_level", "max_pixels")}


@dataclass(frozen=True)
class Maps:
    """What the model's anomaly maps are, and its scores to them."""

    height: int
    """pixels"""
    width: int
    values: str
    """what a map's values are, in words"""
    maximum_is_score: bool
    """False: a map's values cannot be compared with the image's threshold"""


@dataclass(frozen=True)
class ImageThreshold:
    """The score above which an image is anomalous; see rd_core.calibration.threshold."""

    value: float
    alpha: float
    """promised share of false alarms"""
    n: int
    """held-out normals it was set on"""
    smallest_honest_alpha: float
    extrapolated: bool
    low: float
    """of its 95 % interval"""
    high: float
    interval: str
    """how the interval was made"""


@dataclass(frozen=True)
class PixelThreshold:
    """The value of a map that few pixels of normal images exceed; see rd_core.calibration.pixel_threshold."""

    value: float
    alpha: float
    """share of the pixels that exceed it"""
    images: int
    """held-out normals it was set on"""


@dataclass(frozen=True)
class Calibration:
    """What the model says of the n held-out normals."""

    scores: tuple[float, ...]
    """n, ascending; float32"""
    statistics: Mapping[str, tuple[float, ...]]
    """by name of a score row's column, n each, in the order of `scores`; those that drift is judged by"""


@dataclass(frozen=True)
class ImageSets:
    """What the model was made with, as keys."""

    digest: str
    """SHA-256 (hex) of the normals' bytes"""
    part_pattern: str | None
    """regular expression that tells a part from a file's name; None: an image is a part of its own"""
    train: tuple[str, ...]
    early_stop: tuple[str, ...]
    calibration: tuple[str, ...]
    test: tuple[str, ...]
    """held out of everything, to compare the model with another"""
    duplicates: tuple[str, ...]
    """left out, since their bytes are another's"""
    unreadable: Mapping[str, str]
    """left out: key -> why"""

    @property
    def seen(self) -> tuple[str, ...]:
        """What the model or its threshold follows from: none of it can judge the model."""
        return (*self.train, *self.early_stop, *self.calibration)

    @property
    def used(self) -> tuple[str, ...]:
        """All that were read for it, whatever for."""
        return (*self.seen, *self.test)

    @property
    def named(self) -> tuple[str, ...]:
        """All that are told of."""
        return (*self.used, *self.duplicates, *self.unreadable)


@dataclass(frozen=True)
class Origin:
    """Where a normal of a retraining comes from."""

    labelled_by: str | None
    labelled_at: datetime | None
    day: date
    """of production"""
    new: bool
    """to the champion"""


@dataclass(frozen=True)
class Retraining:
    """Of which champion the model is to take the place."""

    champion: str
    started_from: str | None
    """the version whose weights the fit went on from; None: from scratch"""
    considered: Mapping[str, int]
    """normals by what became of them"""
    normals: str
    """key of the table that tells of each"""
    digest: str
    """SHA-256 (hex) of all that the candidate follows from"""
    provenance: Mapping[str, Origin]
    """by key"""


@dataclass(frozen=True)
class Engine:
    """The library that is to compute the model's scores on CPUs, unless the settings name one."""

    library: str
    why: str
    images_per_second: Mapping[str, float]
    """by library, where the model was made; empty: nothing was measured"""


@dataclass(frozen=True)
class WeightsFile:
    """What the weights' bytes are known by."""

    sha256: str
    size: int
    """bytes"""

    @classmethod
    def of(cls, data: bytes) -> "WeightsFile":
        return cls(hashlib.sha256(data).hexdigest(), len(data))


@dataclass(frozen=True)
class ModelCard:
    """A model version; it never changes."""

    category: str
    version: str
    created_at: datetime
    """UTC"""
    run_id: str
    """of the training"""
    method: Method
    fit: Fit
    preprocessing: Preprocessing
    maps: Maps
    threshold: ImageThreshold
    pixel_threshold: PixelThreshold
    calibration: Calibration
    images: ImageSets
    retraining: Retraining | None
    """None: a training from labels alone"""
    engine: Engine
    weights: WeightsFile
    software: Mapping[str, str]
    """version by name"""
    schema_version: int = CARD_VERSION

    @property
    def map_threshold(self) -> float:
        """A map's value above it is anomalous: the image's threshold where a map's maximum is the score, so that
        both say the same of an image; else the pixel threshold."""
        return self.threshold.value if self.maps.maximum_is_score else self.pixel_threshold.value

    @property
    def defect_peak(self) -> float:
        """A region of a map that stays below it is no defect: where the score is a map's maximum, the least that a
        person is to look at."""
        return self.threshold.low if self.maps.maximum_is_score else self.pixel_threshold.value


def to_bytes(card: ModelCard) -> bytes:
    """The same card, the same bytes. ValueError, TypeError for what JSON cannot hold."""
    return checked_json.to_bytes(json_records.to_json(card))


def from_bytes(data: bytes, address: str) -> ModelCard:
    """The card in an object's bytes; `address`, where it was found, names it. CorruptObject if they are none."""
    content = checked_json.from_bytes(data, address, "a model card", known_format=CARD_VERSION)
    try:
        return json_records.from_json(ModelCard, content)
    except ValueError as e:
        raise CorruptObject(
            f"{address} is not a model card of this release: {e}. Nothing can be scored or compared by its model. "
            "Restore the card from a copy, or train anew: rd-inspect train"
        ) from e
