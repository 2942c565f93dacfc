"""The model card: everything needed to trust, repeat or question a model version of any method."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from typing import Any

from storage.errors import CorruptObject
from storage.stores import checked_json, json_records

CARD_VERSION = 1
SPLIT, CROSS = "split", "cross"
LABELLED_NORMALS, UNLABELLED_SCORES = "labelled normals", "unlabelled scores"


@dataclass(frozen=True)
class MethodChoice:
    """Why a model has its method, where the settings left it to a comparison."""

    comparison: str | None
    """id of the comparison that chose it; None: none could be made, and it is the default"""
    sentence: str
    """the reason"""


@dataclass(frozen=True)
class Method:
    """The anomaly detection method. It alone validates its settings."""

    name: str
    """its name in the registry"""
    settings: Mapping[str, Any]
    """all settings, as JSON"""
    teacher_weights: str | None
    """path of the backbone's file; None: the packaged one"""
    choice: MethodChoice | None = None
    """what chose it; None: the settings or a command said it"""


@dataclass(frozen=True)
class Fit:
    """The training of the method."""

    summary: str
    """in a few words"""
    figures: Mapping[str, Any]
    """JSON under the method's own names: steps, losses, reason of the end"""
    seconds: float


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of images."""

    version: str
    """version of decoding and resizing; releases with another version refuse the model"""
    view: Mapping[str, Any]
    """from an image to the model's pixels and back, as JSON; `rd_core.pictures.image_view.ImageView` alone validates
    it"""
    white_level: float | None
    """grey value of more than 8 bits that becomes 255; None: the highest of the file's type"""
    black_level: float | None
    """grey value that becomes 0; None: 0"""
    max_pixels: int
    """larger images are refused"""
    size_choice: str | None = None
    """how height and width were chosen, a line for people; None: the settings said them"""

    @property
    def decoding(self) -> dict[str, Any]:
        """The arguments of storage.images.decode."""
        return {name: getattr(self, name) for name in ("white_level", "black_level", "max_pixels")}


@dataclass(frozen=True)
class Maps:
    """The anomaly maps and their relation to the scores."""

    height: int
    """pixels"""
    width: int
    values: str
    """meaning of a map's values, in words"""
    maximum_is_score: bool
    """False: a map's values are not comparable with the image's threshold"""

    @property
    def bytes_each(self) -> int:
        """Of a map, float16, as it lies in memory."""
        return 2 * self.height * self.width


@dataclass(frozen=True)
class ImageThreshold:
    """The score above which an image is anomalous; see rd_core.calibration.threshold."""

    value: float
    alpha: float
    """promised false-alarm rate"""
    n: int
    """number of held-out normals"""
    smallest_honest_alpha: float
    extrapolated: bool
    low: float
    """of its 95 % interval"""
    high: float
    interval: str
    """method of the interval"""


@dataclass(frozen=True)
class PixelThreshold:
    """The value of a map that few pixels of normal images exceed; see rd_core.calibration.pixel_threshold."""

    value: float
    alpha: float
    """share of the pixels above it"""
    images: int
    """number of held-out normals"""


@dataclass(frozen=True)
class Calibration:
    """The model's scores of the n held-out normals."""

    scores: tuple[float, ...]
    """n, ascending; float32"""
    statistics: Mapping[str, tuple[float, ...]]
    """by name of a score row's column, n each, in the order of `scores`: the statistics for drift"""
    method: str
    """SPLIT (images apart from those it trained on), CROSS (every normal, by models that have not seen its part),
    LABELLED_NORMALS or UNLABELLED_SCORES (of days after the training)"""
    folds: int | None
    """number of folds of "cross"; None: every part was left out exactly, or another method"""
    parts: tuple[int, ...]
    """number of images of each part behind `scores`, ascending"""
    proven: float
    """false-alarm rate that is proven without assuming a law for the scores; it may exceed the promised one"""
    above: int
    """number of `scores` above the threshold; above / n is the realised false-alarm rate"""


@dataclass(frozen=True)
class ImageSets:
    """The keys of the images behind the model."""

    digest: str
    """SHA-256 (hex) of the normals' bytes"""
    part_pattern: str | None
    """regular expression that finds the part in a file name; None: every image is a part"""
    train: tuple[str, ...]
    early_stop: tuple[str, ...]
    calibration: tuple[str, ...]
    """their scores set the threshold; with cross-fitting they are those of `train` and `early_stop`"""
    test: tuple[str, ...]
    """held out to compare the model with another"""
    duplicates: tuple[str, ...]
    """left out because of equal bytes"""
    unreadable: Mapping[str, str]
    """left out: key -> why"""
    set_aside: Mapping[str, str]
    """normals that look like wrong labels, and are in no set above: key -> why"""
    unlabelled: tuple[date, ...]
    """production days whose images were taken for normals although nobody had labelled them; empty: all were
    labelled"""

    @property
    def seen(self) -> tuple[str, ...]:
        """Images that the model or its threshold depends on, which cannot judge it. Each is named once, as in `used`
        and `named`."""
        return _once(self.train, self.early_stop, self.calibration, self.set_aside)

    @property
    def used(self) -> tuple[str, ...]:
        """All images that were read for it."""
        return _once(self.seen, self.test)

    @property
    def named(self) -> tuple[str, ...]:
        """All images of the card."""
        return _once(self.used, self.duplicates, self.unreadable)


@dataclass(frozen=True)
class Origin:
    """The source of a retraining's normal image."""

    labelled_by: str | None
    labelled_at: datetime | None
    day: date
    """production day"""
    new: bool
    """score of the champion"""


@dataclass(frozen=True)
class Retraining:
    """The champion that the model is to replace."""

    champion: str
    started_from: str | None
    """version whose weights the fit started from; None: from scratch"""
    considered: Mapping[str, int]
    """number of normals by their use"""
    normals: str
    """key of the table with each of them"""
    digest: str
    """SHA-256 (hex) of all inputs of the candidate"""
    provenance: Mapping[str, Origin]
    """by key"""


@dataclass(frozen=True)
class Engine:
    """The library that computes the model's scores on CPUs, unless the settings name another."""

    library: str
    why: str
    images_per_second: Mapping[str, float]
    """by library, on the machine of the training; empty: not measured"""


@dataclass(frozen=True)
class Recalibration:
    """The version whose threshold this one replaces, with the same weights."""

    replaces: str
    first_day: date | None
    """production day of the oldest image behind the threshold; None: another alpha for the training's scores"""
    last_day: date | None
    """of the newest"""
    considered: int
    """number of images looked at"""
    left_out: Mapping[str, int]
    """number of them that were not used, by reason"""
    sealed: int
    """number of scores taken from complete days; the others were computed anew"""
    defect_share: float | None
    """estimated share of defects among unlabelled images; None for labelled normals"""
    digest: str
    """SHA-256 (hex) of all inputs of the threshold: weights, scores, false-alarm rate"""


@dataclass(frozen=True)
class WeightsFile:
    """Digest and size of the weights, and where they are."""

    sha256: str
    size: int
    """bytes"""
    version: str | None = None
    """the version of the category that holds the file; None: this one"""

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
    recalibration: Recalibration | None = None
    """None: a training"""
    schema_version: int = CARD_VERSION

    @property
    def weights_version(self) -> str:
        """The version that holds the weights."""
        return self.weights.version or self.version

    @property
    def score_scale(self) -> str:
        """SHA-256 (hex, 16 characters) of weights and preprocessing: scores of versions with the same one are
        comparable."""
        text = json.dumps([self.weights.sha256, json_records.to_json(self.preprocessing)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def map_threshold(self) -> float:
        """Pixels of a map above it are anomalous: the image's threshold if a map's maximum is the score, so that both
        agree; else the pixel threshold."""
        return self.threshold.value if self.maps.maximum_is_score else self.pixel_threshold.value

    @property
    def defect_peak(self) -> float:
        """A region whose values stay below it is no defect: the lower bound of the review band if the score is a
        map's maximum."""
        return self.threshold.low if self.maps.maximum_is_score else self.pixel_threshold.value


def _once(*sets: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain(*sets)))


def to_bytes(card: ModelCard) -> bytes:
    """Deterministic bytes of the card. Raises ValueError, TypeError for values that are not JSON."""
    return checked_json.to_bytes(json_records.to_json(card))


def from_bytes(data: bytes, address: str) -> ModelCard:
    """The card in an object's bytes; `address` names it in messages. Raises CorruptObject."""
    content = checked_json.from_bytes(data, address, "a model card", known_format=CARD_VERSION)
    try:
        return json_records.from_json(ModelCard, content)
    except ValueError as e:
        raise CorruptObject(
            f"{address} is not a model card of this release: {e}. Nothing can be scored or compared by its model. "
            "Restore the card from a copy, or train anew: rd-inspect train"
        ) from e
