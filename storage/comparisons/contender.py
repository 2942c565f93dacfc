"""What a contender of comparisons left."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage import layout
from storage.comparisons.record import read_record
from storage.errors import AlreadyExists, CorruptObject, KeyNotFound
from storage.images import content_digest
from storage.stores import checked_json, json_records, parquet
from storage.stores.store import Store

CONTENDER = "contender.json"
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


def read_contender(store: Store, category: str, digest: str) -> ContenderRecord | None:
    """None if it is not finished. Raises CorruptObject."""
    try:
        key = layout.contender_prefix(category, digest) + CONTENDER
        return read_record(ContenderRecord, store, key, "the record of a contender")
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
    """Raises CorruptObject, also where they are gone."""
    with _telling_the_cure(store, record.scores):
        return parquet.from_bytes(store.read(record.scores), store.address(record.scores))


def read_maps(store: Store, record: ContenderRecord) -> ContenderMaps:
    """Raises CorruptObject, also where they are gone."""
    with (
        _telling_the_cure(store, record.maps),
        np.load(io.BytesIO(store.read(record.maps)), allow_pickle=False) as file,
    ):
        return ContenderMaps(file["maps"], file["index"])


@contextmanager
def _telling_the_cure(store: Store, key: str) -> Iterator[None]:
    try:
        yield
    except (KeyNotFound, CorruptObject, ValueError, KeyError, OSError, zipfile.BadZipFile) as e:
        raise CorruptObject(
            f"{store.address(key)} is gone or damaged, so no comparison can use this contender ({e}). Remove its "
            f"folder, {store.address(key.rpartition('/')[0])}, and compare again: it is trained anew."
        ) from e
