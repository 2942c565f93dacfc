"""An evaluation's files for one partition: a row for each labelled image, and pixel tables."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.region_recall import RegionRecall
from rd_core.pictures.alignment import OFFSET_COLUMNS
from storage.errors import CorruptObject
from storage.filesystem import Store
from storage.images import content_digest
from storage.partitions.scores import SCHEMA
from storage.stores import parquet

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
        *((name, SCHEMA.field(name).type) for name in OFFSET_COLUMNS),
        ("defect_boxes", SCHEMA.field("defect_boxes").type),
        # counted | no mask | left out, and null without a score
        ("pixels", pa.string()),
        # why the image has no score or its pixels are left out
        ("problem", pa.string()),
    ]
)
AUPIMO = pa.schema([("image_key", pa.string()), ("aupimo", pa.float64())])
DEFECTS = pa.schema([("image_key", pa.string()), ("bins", pa.list_(pa.uint16()))])
"""bins (rd_core.metrics.float16_bins) of each masked defect's pixels, so that maps and masks are read once"""
_RECALL = ("recall_setting", "recall_edges", "recall_found", "recall_total")


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """The pixels of labelled images."""

    tables: PixelTables
    recall: RegionRecall | None
    """at the threshold of the images' scores; None if that is no threshold of pixels"""


def write_rows(store: Store, key: str, rows: list[dict[str, Any]], schema: pa.Schema) -> str:
    """Write rows with the schema's columns as one Parquet file, deterministically; returns its SHA-256 (hex)."""
    return _written(store, key, parquet.to_bytes(pa.Table.from_pylist(rows, schema=schema)))


def read_rows(store: Store, key: str) -> list[dict[str, Any]]:
    """The rows of `write_rows`. Raises KeyNotFound, CorruptObject."""
    rows: list[dict[str, Any]] = parquet.from_bytes(store.read(key), store.address(key)).to_pylist()
    return rows


def write_defects(store: Store, key: str, bins: Mapping[str, NDArray[np.uint16]]) -> str:
    """Write the bins of each image's defect pixels, by its key, as Parquet of DEFECTS; returns its SHA-256 (hex)."""
    names = sorted(bins)
    table = pa.table([names, [bins[name] for name in names]], schema=DEFECTS)
    return _written(store, key, parquet.to_bytes(table))


def read_defects(store: Store, key: str) -> Iterator[tuple[str, NDArray[np.uint16]]]:
    """The result of `write_defects`, in the order of the keys. Raises KeyNotFound, CorruptObject."""
    table = parquet.from_bytes(store.read(key), store.address(key))
    for name, bins in zip(table["image_key"], table["bins"], strict=True):
        yield name.as_py(), bins.values.to_numpy()


def write_pixels(store: Store, key: str, pixels: PixelCounts) -> str:
    """Write the counts as one npz file, some 100 KB for maps of one model, deterministically; returns its SHA-256
    (hex)."""
    arrays: dict[str, Any] = dict(pixels.tables.to_arrays())
    if pixels.recall is not None:
        setting = np.array([pixels.recall.threshold, pixels.recall.share])
        values = (setting, pixels.recall.edges, pixels.recall.found, pixels.recall.total)
        arrays |= {name: np.asarray(value) for name, value in zip(_RECALL, values, strict=True)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return _written(store, key, buffer.getvalue())


def read_pixels(store: Store, key: str) -> PixelCounts:
    """The counts of `write_pixels`. Raises KeyNotFound, CorruptObject."""
    try:
        with np.load(io.BytesIO(store.read(key)), allow_pickle=False) as file:
            arrays = dict(file)
            return PixelCounts(PixelTables.from_arrays(arrays), _recall(arrays))
    except (ValueError, OSError, EOFError) as e:
        raise CorruptObject(
            f"{store.address(key)} holds no pixel counts ({e}), so its images would be lost from the figures. "
            "Evaluate these days again."
        ) from e


def _written(store: Store, key: str, data: bytes) -> str:
    store.write(key, data)
    return content_digest(data)


def _recall(arrays: dict[str, Any]) -> RegionRecall | None:
    if _RECALL[0] not in arrays:
        return None
    setting, edges, hits, total = (arrays[name].tolist() for name in _RECALL)
    return RegionRecall(setting[0], setting[1], tuple(edges), tuple(hits), tuple(total))
