"""What an evaluation keeps of one partition: a row for each labelled image, and tables of its pixels."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.region_recall import RegionRecall
from storage import parquet
from storage.errors import CorruptObject
from storage.filesystem import Store
from storage.scores import SCHEMA

IMAGES = pa.schema(
    [
        ("image_key", pa.string()),
        ("category", pa.string()),
        ("run_date", pa.date32()),
        ("model_version", pa.string()),
        ("part", pa.string()),
        ("label", pa.string()),
        ("kind", pa.string()),
        ("mask_key", pa.string()),
        ("status", pa.string()),
        ("score", pa.float32()),
        ("threshold", pa.float32()),
        ("is_anomalous", pa.bool_()),
        ("p_value", pa.float64()),
        ("anomalous_area", pa.float32()),
        ("map_store", pa.string()),
        ("map_index", pa.int32()),
        ("image_height", pa.int32()),
        ("image_width", pa.int32()),
        ("defect_boxes", SCHEMA.field("defect_boxes").type),
        # counted | no mask | left out, and null without a score
        ("pixels", pa.string()),
        # why the image has no score or its pixels are left out
        ("problem", pa.string()),
    ]
)
AUPIMO = pa.schema([("image_key", pa.string()), ("aupimo", pa.float64())])
_RECALL = ("recall_setting", "recall_edges", "recall_found", "recall_total")


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """The pixels of some labelled images."""

    tables: PixelTables
    recall: RegionRecall | None
    """at the threshold of the images' scores; None where that is no threshold of pixels"""


def write_rows(store: Store, key: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Rows with the schema's columns as one Parquet file; the same rows give the same bytes."""
    store.write(key, parquet.to_bytes(pa.Table.from_pylist(rows, schema=schema)))


def read_rows(store: Store, key: str) -> list[dict[str, Any]]:
    """The rows of `write_rows`. KeyNotFound, CorruptObject."""
    rows: list[dict[str, Any]] = parquet.from_bytes(store.read(key), store.address(key)).to_pylist()
    return rows


def write_pixels(store: Store, key: str, pixels: PixelCounts) -> None:
    """The counts as one npz file, some 100 KB for maps of one model; the same counts give the same bytes."""
    arrays: dict[str, Any] = dict(pixels.tables.to_arrays())
    if pixels.recall is not None:
        setting = np.array([pixels.recall.threshold, pixels.recall.share])
        values = (setting, pixels.recall.edges, pixels.recall.found, pixels.recall.total)
        arrays |= {name: np.asarray(value) for name, value in zip(_RECALL, values, strict=True)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    store.write(key, buffer.getvalue())


def read_pixels(store: Store, key: str) -> PixelCounts:
    """The counts of `write_pixels`. KeyNotFound, CorruptObject."""
    try:
        with np.load(io.BytesIO(store.read(key)), allow_pickle=False) as file:
            arrays = dict(file)
            return PixelCounts(PixelTables.from_arrays(arrays), _recall(arrays))
    except (ValueError, OSError, EOFError) as e:
        raise CorruptObject(
            f"{store.address(key)} holds no pixel counts ({e}), so its images would be lost from the figures. "
            "Evaluate these days again."
        ) from e


def _recall(arrays: dict[str, Any]) -> RegionRecall | None:
    if _RECALL[0] not in arrays:
        return None
    setting, edges, found, total = (arrays[name].tolist() for name in _RECALL)
    return RegionRecall(setting[0], setting[1], tuple(edges), tuple(found), tuple(total))
