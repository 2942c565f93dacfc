"""Score rows: one for each planned image, in one Parquet part for each batch.

A part also has the columns of its path (run_date, category, model_version). DuckDB (hive_partitioning=true) and
Polars take the file's type. With pandas and pyarrow pass partitioning=None: they would read these columns from the
path as text and refuse.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime

import pyarrow as pa

from storage.errors import CorruptObject
from storage.records import Shard
from storage.stores import parquet
from storage.stores.store import Store

SCHEMA_VERSION = 2
_VERSION, _VERSION_HERE = b"schema_version", str(SCHEMA_VERSION).encode()
_MAPS = b"maps"
"""metadata of a part's footer: the object with the batch's maps"""
STATUSES = ("ok", "unreadable", "rejected")
DECISIONS = ("accept", "review", "reject")


@dataclass(frozen=True)
class ScoreRow:
    """The score of one image. Optional fields are None without a score."""

    image_key: str
    """path below the root of the images' store"""
    etag: str
    """version of the planned object"""
    content_digest: str | None
    """SHA-256 (hex) of the bytes; equal for copies; None if they could not be read"""
    category: str
    run_date: date
    """the production day"""
    captured_at: datetime
    """UTC; last write of the object"""
    model_version: str
    preprocessing: str
    """version of the processing before the model"""
    score: float | None
    """raw score, never clamped; higher is more anomalous"""
    threshold: float | None
    """in the unit of score"""
    p_value: float | None
    """conformal, (0, 1]: share of held-out normal images with at least this score"""
    is_anomalous: bool | None
    """score > threshold"""
    status: str
    """'ok', 'unreadable' (the bytes do not decode) or 'rejected' (must not be scored)"""
    error: str | None
    """why there is no score"""
    map_store: str | None
    """key of the zarr array of the anomaly maps"""
    map_index: int | None
    """row of the image in map_store"""
    anomalous_area: float | None
    """share of the map's pixels above `ModelCard.map_threshold`, [0, 1]"""
    image_height: int | None
    """pixels, as decoded"""
    image_width: int | None
    """pixels, as decoded"""
    scored_at: datetime
    """UTC"""
    run_id: str
    brightness: float | None = None
    """mean luma of the pixels the model saw, [0, 1]"""
    contrast: float | None = None
    """standard deviation of the luma, [0, 0.5]"""
    sharpness: float | None = None
    """mean absolute Laplacian of the luma over its mean absolute gradient"""
    feature_distance: float | None = None
    """distance of the image's mean features from those of the training normals"""
    decision: str | None = None
    """'accept', 'review' (within the threshold's 95 % interval) or 'reject'"""
    defect_area: float | None = None
    """share of the map's pixels above the pixel threshold, [0, 1]"""
    defect_boxes: list[dict[str, float]] | None = None
    """boxes around defects, most anomalous first: top, left, height, width in pixels of the image, and their peak
    value; empty if the decision is 'accept'"""
    edge_centre_x: float | None = None
    """mean column of the luma's absolute differences, as a share of the width, [0, 1]"""
    edge_centre_y: float | None = None
    """mean row of them, as a share of the height"""
    offset_x: float | None = None
    """pixels of the image by which the part lies to the right of the median normal; None: not aligned"""
    offset_y: float | None = None
    """pixels downwards"""
    rotation: float | None = None
    """degrees clockwise, about the image's centre, before the offset"""


_TIME = pa.timestamp("us", "UTC")
_BOX = pa.struct([*((side, pa.int32()) for side in ("top", "left", "height", "width")), ("peak", pa.float32())])
# The order of ScoreRow's fields. Columns are only ever added, at the end; then SCHEMA_VERSION grows.
_TYPES = {
    "image_key": (pa.string(), False),
    "etag": (pa.string(), False),
    "content_digest": (pa.string(), True),
    "category": (pa.string(), False),
    "run_date": (pa.date32(), False),
    "captured_at": (_TIME, False),
    "model_version": (pa.string(), False),
    "preprocessing": (pa.string(), False),
    "score": (pa.float32(), True),
    "threshold": (pa.float32(), True),
    "p_value": (pa.float64(), True),
    "is_anomalous": (pa.bool_(), True),
    "status": (pa.string(), False),
    "error": (pa.string(), True),
    "map_store": (pa.string(), True),
    "map_index": (pa.int32(), True),
    "anomalous_area": (pa.float32(), True),
    "image_height": (pa.int32(), True),
    "image_width": (pa.int32(), True),
    "scored_at": (_TIME, False),
    "run_id": (pa.string(), False),
    "brightness": (pa.float32(), True),
    "contrast": (pa.float32(), True),
    "sharpness": (pa.float32(), True),
    "feature_distance": (pa.float32(), True),
    "decision": (pa.string(), True),
    "defect_area": (pa.float32(), True),
    "defect_boxes": (pa.list_(_BOX), True),
    "edge_centre_x": (pa.float32(), True),
    "edge_centre_y": (pa.float32(), True),
    "offset_x": (pa.float32(), True),
    "offset_y": (pa.float32(), True),
    "rotation": (pa.float32(), True),
}
SCHEMA = pa.schema(
    [pa.field(name, kind, nullable) for name, (kind, nullable) in _TYPES.items()],
    metadata={_VERSION: _VERSION_HERE},
)
_SCORED = ("content_digest", "score", "threshold", "p_value", "is_anomalous", "image_height", "image_width")
_SHARES = ("p_value", "anomalous_area", "brightness", "contrast", "defect_area", "edge_centre_x", "edge_centre_y")


def write_part(store: Store, key: str, rows: Sequence[ScoreRow], maps: Shard | None = None) -> tuple[str, int]:
    """Write a batch's rows as one Parquet file in one step; its footer names the batch's `maps`.

    Returns SHA-256 (hex) of its bytes, equal for equal rows, and the number of rows. Raises CorruptObject, without
    writing, for an inconsistent row (see `validate`).
    """
    table = to_table(rows)
    validate(table)
    data = part_bytes(table, maps)
    store.write(key, data)
    return hashlib.sha256(data).hexdigest(), len(rows)


def part_bytes(table: pa.Table, maps: Shard | None) -> bytes:
    """The bytes that `write_part` writes."""
    if maps is not None:
        table = table.replace_schema_metadata({**(SCHEMA.metadata or {}), _MAPS: json.dumps(asdict(maps)).encode()})
    return parquet.to_bytes(table)


def read_part(store: Store, key: str) -> pa.Table:
    """The rows of a part. Raises KeyNotFound, CorruptObject."""
    return part_of_bytes(store.read(key), store.address(key))


def part_of_bytes(data: bytes, address: str) -> pa.Table:
    """As `read_part`, from bytes; `address` names the part in messages."""
    return part_with_maps(data, address)[0]


def part_with_maps(data: bytes, address: str) -> tuple[pa.Table, Shard | None]:
    """As `part_of_bytes`, with the part's maps."""
    table = parquet.from_bytes(data, address)
    with parquet.readable(address):
        return _of_schema(table, SCHEMA, address), _maps_named(table.schema, address)


def read_columns(store: Store, key: str, names: Sequence[str]) -> pa.Table:
    """As `read_part`, fetching only these columns."""
    return columns_with_maps(store, key, names)[0]


def columns_with_maps(store: Store, key: str, names: Sequence[str]) -> tuple[pa.Table, Shard | None]:
    """As `read_columns`, with the part's maps."""
    wanted = pa.schema([SCHEMA.field(name) for name in names])
    with parquet.opened(store, key) as file:
        address = store.address(key)
        return _of_schema(file.read(columns=list(names)), wanted, address), _maps_named(file.schema_arrow, address)


def _maps_named(schema: pa.Schema, address: str) -> Shard | None:
    kept = (schema.metadata or {}).get(_MAPS)
    try:
        return None if kept is None else Shard(**json.loads(kept))
    except (ValueError, TypeError) as e:
        raise CorruptObject(f"{address} names no maps that could be ({e}). Score the batch again.") from e


def read_scores(store: Store, keys: Sequence[str]) -> pa.Table:
    """The rows of all these parts, in order."""
    return pa.concat_tables([SCHEMA.empty_table(), *(read_part(store, key) for key in keys)])


def to_table(rows: Sequence[ScoreRow]) -> pa.Table:
    """Rows as a table of SCHEMA."""
    arrays = [pa.array([getattr(row, f.name) for row in rows], f.type) for f in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _of_schema(table: pa.Table, schema: pa.Schema, address: str) -> pa.Table:
    missing = [name for name in schema.names if name not in table.column_names]
    version = (table.schema.metadata or {}).get(_VERSION)
    if missing or version != _VERSION_HERE:
        why = (
            f"has no column {', '.join(missing)}"
            if missing
            else f"names schema version {version!r}, not {SCHEMA_VERSION}"
        )
        raise CorruptObject(f"{address} {why}: it is no part of this release. Score the batch again.")
    return pa.Table.from_arrays([table[f.name].cast(f.type) for f in schema], schema=schema)


def to_rows(table: pa.Table) -> list[ScoreRow]:
    """A table of SCHEMA as rows; float columns have float32's precision."""
    names = [field.name for field in fields(ScoreRow)]
    return [ScoreRow(*row) for row in zip(*(table[name].to_pylist() for name in names), strict=True)]


def validate(table: pa.Table) -> None:
    """Raises CorruptObject unless `table` has SCHEMA's columns and every row is consistent."""
    if not table.schema.equals(SCHEMA):
        raise CorruptObject(
            f"the columns {table.schema.to_string(show_schema_metadata=False)!r} are not those of score rows, "
            "so no reader could trust them. Build the table with to_table()."
        )
    for number, row in enumerate(table.to_pylist()):
        why = _why_inconsistent(row)
        if why is not None:
            raise CorruptObject(
                f"row {number} of image {row['image_key']!r}: {why}, so the table would mislead its readers. "
                "Correct what makes the rows."
            )


def _why_inconsistent(row: dict) -> str | None:
    for name, (_, nullable) in _TYPES.items():
        if row[name] is None and not nullable:
            return f"{name} is missing"
    for name in _SHARES:
        if row[name] is not None and not 0 <= row[name] <= 1:
            return f"{name} is {row[name]}, outside [0, 1]"
    if row["status"] == "ok":
        return _why_not_scored(row)
    if row["status"] not in STATUSES:
        return f"status {row['status']!r} is none of {', '.join(STATUSES)}"
    if row["score"] is not None or row["is_anomalous"] is not None or not row["error"]:
        return f"status {row['status']!r} needs an error and no score"
    return None


def _why_not_scored(row: dict) -> str | None:
    missing = [name for name in _SCORED if row[name] is None]
    if missing:
        return f"status 'ok' without {', '.join(missing)}"
    if row["decision"] not in (None, *DECISIONS):
        return f"decision {row['decision']!r} is none of {', '.join(DECISIONS)}"
    if not math.isfinite(row["score"]):
        return f"score is {row['score']}, no finite number"
    return None
