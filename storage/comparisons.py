"""Records of comparisons of methods: the plan, what each contender left, and the outcome.

A plan and a contender are named by their content. So a run after a kill finds what is finished, and two runs at once
write the same.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage import layout
from storage.errors import OF_ONE_OBJECT, AlreadyExists, CorruptObject, KeyNotFound
from storage.images import content_digest
from storage.stores import checked_json, json_records, parquet
from storage.stores.store import Store

FORMAT = 1
CHOOSING, REPORTING = "choosing", "reporting"
PLAN, OUTCOME, CONTENDER = "plan.json", "comparison.json", "contender.json"
SCORES = pa.schema(
    [
        pa.field("image_key", pa.string(), nullable=False),
        pa.field("drawn", pa.bool_(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("half", pa.string(), nullable=False),
        pa.field("is_anomalous", pa.bool_(), nullable=False),
        pa.field("kind", pa.string()),
        pa.field("method", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("p_value", pa.float64(), nullable=False),
        pa.field("decision", pa.string(), nullable=False),
    ]
)
"""one row for each judged image and contender"""
FIGURES = pa.schema(
    [
        pa.field("category", pa.string(), nullable=False),
        pa.field("comparison", pa.string(), nullable=False),
        pa.field("drawn", pa.bool_(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("half", pa.string(), nullable=False),
        pa.field("figure", pa.string(), nullable=False),
        pa.field("of", pa.string()),
        pa.field("n", pa.int64()),
        pa.field("p_value", pa.float64()),
        pa.field("value", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
    ]
)
"""one row for each figure of a method: see reports.comparison.export.figure_rows"""
R = TypeVar("R")


@dataclass(frozen=True)
class PlannedImage:
    """A judged image: labelled, and no contender learns from it."""

    image_key: str
    digest: str
    """SHA-256 (hex) of its bytes"""
    part: str
    is_anomalous: bool
    half: str
    """CHOOSING or REPORTING; all report where there are too few for both"""
    kind: str | None
    """of the defect"""
    mask_key: str | None
    mask_digest: str | None
    """SHA-256 (hex) of the mask's bytes"""
    defect_share: float | None
    """share of the counted pixels that its mask covers; None without one"""
    donor: str | None
    """the normal whose texture is in the defect drawn into this one; None: nothing is drawn"""

    @property
    def name(self) -> str:
        """Unique in a comparison: a normal is also judged with a drawn defect."""
        return self.image_key if self.donor is None else f"{self.image_key}#drawn"


@dataclass(frozen=True)
class PlannedContender:
    """A method with a seed."""

    method: str
    seed: int
    settings: Mapping[str, Any]
    """all of the method's settings, as JSON"""
    digest: str
    """SHA-256 (hex, 16 characters) of all that decides about it"""


@dataclass(frozen=True)
class ComparisonPlan:
    """The inputs of a comparison; they never change."""

    category: str
    id: str
    """SHA-256 (hex, 16 characters) of them"""
    alpha: float
    view: Mapping[str, Any]
    """what all contenders see of an image, as in a model card"""
    white_level: float | None
    black_level: float | None
    max_pixels: int
    """as in a model card, too"""
    size_choice: str | None
    """how its size was chosen, a line for people; None: the settings said it"""
    part_pattern: str | None
    train: tuple[str, ...]
    """keys of normals"""
    early_stop: tuple[str, ...]
    calibration: tuple[str, ...]
    normals: Mapping[str, str]
    """SHA-256 (hex) of their bytes, by key"""
    judged: tuple[PlannedImage, ...]
    contenders: tuple[PlannedContender, ...]
    left_out: Mapping[str, str]
    """methods that cannot be compared: name -> why"""
    notes: tuple[str, ...]
    """what to know about the images, sentences"""

    @property
    def drawn(self) -> bool:
        """Whether the defects are drawn, because none is labelled."""
        return any(image.donor is not None for image in self.judged)

    @property
    def key(self) -> str:
        return layout.comparisons_prefix(self.category, self.id) + PLAN


@dataclass(frozen=True)
class ContenderRecord:
    """What a contender cost, its threshold, and where its scores and maps are; written last."""

    method: str
    seed: int
    threshold: float
    low: float
    """lower end of the threshold's 95 % interval"""
    high: float
    pixel_threshold: float
    fit: str
    """in a few words"""
    training_seconds: float
    """of processors, for fit and calibration"""
    elapsed_seconds: float
    """for the same, by the clock"""
    images_per_second: float
    """of scoring; on CPUs an image in a second of one processor"""
    peak_memory: int
    """bytes of its process, at most; 0: not measured"""
    model_bytes: int
    pixels: Mapping[str, Any] | None
    """figures of the pixels of the reporting half, as JSON; None without masks"""
    scores: str
    """key of a table with SCORES' columns, in the order of the plan's judged images"""
    maps: str
    """key of its `ContenderMaps`"""
    run_id: str
    made_at: datetime
    software: Mapping[str, str]


@dataclass(frozen=True)
class ContenderMaps:
    """Some of a contender's anomaly maps."""

    maps: NDArray[np.float16]
    """(k, h, w)"""
    index: NDArray[np.int64]
    """(k,) the places of these images among the judged ones"""

    def to_bytes(self) -> bytes:
        """The same arrays give the same bytes."""
        out = io.BytesIO()
        np.savez_compressed(out, maps=self.maps, index=self.index)
        return out.getvalue()


@dataclass(frozen=True)
class ComparisonOutcome:
    """What a comparison has found; written last."""

    category: str
    id: str
    method: str | None
    """the named one: the best, or the cheapest of those not worse; None: none is named"""
    seed: int | None
    """of its typical model"""
    sentence: str
    """the verdict with its reason"""
    beyond_chance: bool
    """True: the named method is better than all others beyond chance; False: the cheapest of those not worse"""
    drawn: bool
    every_method: bool
    """whether every method that can be compared here was"""
    contenders: tuple[str, ...]
    """digests of those judged"""
    failed: tuple[str, ...]
    """contenders that failed, and why"""
    figures: Mapping[str, Any]
    """JSON, as in the report"""
    report: str
    """key of the HTML"""
    run_id: str
    made_at: datetime


def write_plan(store: Store, plan: ComparisonPlan) -> None:
    """Repeating it changes nothing."""
    try:
        store.create(plan.key, checked_json.to_bytes(json_records.to_json(plan)))
    except AlreadyExists:
        read_plan(store, plan.key)


def read_plan(store: Store, key: str) -> ComparisonPlan:
    """Raises KeyNotFound, CorruptObject."""
    return _read(ComparisonPlan, store, key, "the plan of a comparison")


def read_contender(store: Store, category: str, digest: str) -> ContenderRecord | None:
    """None if it is not finished. Raises CorruptObject."""
    try:
        key = layout.contender_prefix(category, digest) + CONTENDER
        return _read(ContenderRecord, store, key, "the record of a contender")
    except KeyNotFound:
        return None


def write_contender(
    store: Store, category: str, digest: str, record: ContenderRecord, scores: pa.Table, maps: ContenderMaps
) -> ContenderRecord:
    """Keep a contender; `record` without keys gets them. If another run was first, its record is returned and
    stays."""
    prefix = layout.contender_prefix(category, digest)
    files = {"scores": parquet.to_bytes(scores), "maps": maps.to_bytes()}
    keys = {
        name: f"{prefix}{name}-{content_digest(data)[:16]}.{'parquet' if name == 'scores' else 'npz'}"
        for name, data in files.items()
    }
    for name, data in files.items():
        store.write(keys[name], data)
    kept = json_records.from_json(ContenderRecord, {**json_records.to_json(record), **keys})
    try:
        store.create(prefix + CONTENDER, checked_json.to_bytes(json_records.to_json(kept)))
    except AlreadyExists:
        first = read_contender(store, category, digest)
        if first is None:
            raise
        for key in {kept.scores, kept.maps} - {first.scores, first.maps}:
            store.remove(key)
        return first
    return kept


def read_scores(store: Store, record: ContenderRecord) -> pa.Table:
    """Raises KeyNotFound, CorruptObject."""
    return parquet.from_bytes(store.read(record.scores), store.address(record.scores))


def read_maps(store: Store, record: ContenderRecord) -> ContenderMaps:
    """Raises KeyNotFound, CorruptObject."""
    try:
        with np.load(io.BytesIO(store.read(record.maps)), allow_pickle=False) as file:
            return ContenderMaps(file["maps"], file["index"])
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as e:
        raise CorruptObject(
            f"{store.address(record.maps)} holds no maps of a contender ({e}). Remove its folder and compare again."
        ) from e


def write_outcome(store: Store, outcome: ComparisonOutcome) -> None:
    """Replaces an earlier one of the same comparison."""
    key = layout.comparisons_prefix(outcome.category, outcome.id) + OUTCOME
    store.write(key, checked_json.to_bytes(json_records.to_json(outcome)))


def read_outcome(store: Store, category: str, comparison: str) -> ComparisonOutcome | None:
    """None if it is not finished. Raises CorruptObject."""
    try:
        key = layout.comparisons_prefix(category, comparison) + OUTCOME
        return _read(ComparisonOutcome, store, key, "the outcome of a comparison")
    except KeyNotFound:
        return None


def outcomes(store: Store, category: str) -> Iterator[ComparisonOutcome]:
    """The readable outcomes of a category's comparisons, newest first."""
    found = []
    for name in store.children(layout.comparisons_prefix(category)):
        try:
            outcome = read_outcome(store, category, name) if layout.is_plain(name) else None
        except OF_ONE_OBJECT:
            continue  # a damaged one is compared again
        found += [outcome] if outcome else []
    yield from sorted(found, key=lambda outcome: outcome.made_at, reverse=True)


def _read(kind: type[R], store: Store, key: str, what: str) -> R:
    data, again = store.read(key), "Or remove its folder, and compare again."
    try:
        return json_records.from_json(kind, checked_json.from_bytes(data, store.address(key), what))
    except CorruptObject as e:
        raise CorruptObject(f"{e} {again}") from e
    except ValueError as e:
        raise CorruptObject(
            f"{store.address(key)} is not {what} of this release: {e}. Use the release that wrote it. {again}"
        ) from e
