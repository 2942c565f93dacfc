"""What people say of images: normal or anomalous, and where the defect is."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime

import pyarrow as pa

from storage import layout, parquet
from storage.errors import StorageError
from storage.store import Store

WORDS = ("normal", "anomalous")
PURPOSES = ("training", "evaluation")

SCHEMA = pa.schema(
    [
        pa.field("image_key", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("mask_key", pa.string()),
        pa.field("labelled_by", pa.string()),
        pa.field("labelled_at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("kind", pa.string()),
        pa.field("purpose", pa.string(), nullable=False),
    ]
)
_REQUIRED = ("image_key", "label")


@dataclass(frozen=True)
class Label:
    """One person's word on one image."""

    image_key: str
    label: str
    """'normal' or 'anomalous'"""
    mask_key: str | None
    """key of an image of the same size, not black where the defect is; None if nobody drew one"""
    labelled_by: str | None
    labelled_at: datetime
    """UTC; of several labels of an image the latest holds"""
    kind: str | None = None
    """kind of defect, such as 'scratch'"""
    purpose: str = "training"
    """'training': a normal of it may train a model; 'evaluation': kept to judge models by, never trained on"""


def write_labels(store: Store, category: str, labels: Sequence[Label], name: str) -> str:
    """Write labels as labels/<category>/<name>.parquet, in place of an earlier file of that name; its key.

    StorageError if a label's word is unknown.
    """
    key = layout.labels_key(category, f"{name}.parquet")
    for row, label in enumerate(labels):
        _refuse_label(label, store.address(key), row)
    columns = zip(*(astuple(label) for label in labels), strict=True) if labels else [()] * len(SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    store.write(key, parquet.to_bytes(pa.Table.from_arrays(arrays, schema=SCHEMA)))
    return key


def read_labels(store: Store, category: str) -> pa.Table:
    """Each labelled image's latest label, with SCHEMA's columns, sorted by image_key.

    They come from every *.parquet and *.csv right below labels/<category>/. A file needs at least image_key
    and label; a label without labelled_at counts as made when its file was written. Of two labels of the same
    time the one in the file whose name sorts last holds. StorageError names file, row and value of a mistake.
    """
    latest: dict[str, Label] = {}
    for label in _all_labels(store, category):
        known = latest.get(label.image_key)
        if known is None or known.labelled_at <= label.labelled_at:
            latest[label.image_key] = label
    rows = [astuple(latest[key]) for key in sorted(latest)]
    columns = zip(*rows, strict=True) if rows else [()] * len(SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def normal_image_keys(store: Store, category: str) -> list[str]:
    """Keys of the images that are labelled normal and may be trained on, sorted."""
    rows = read_labels(store, category).to_pylist()
    return [row["image_key"] for row in rows if (row["label"], row["purpose"]) == ("normal", "training")]


def list_label_categories(store: Store) -> list[str]:
    """Categories that have labels, sorted."""
    return store.children(layout.labels_root())


def _all_labels(store: Store, category: str) -> Iterator[Label]:
    prefix = layout.labels_prefix(category)
    for info in store.list(prefix):
        name = info.key.removeprefix(prefix)
        if "/" in name or not name.endswith((".parquet", ".csv")):
            continue
        address = store.address(info.key)
        rows = _table_rows if name.endswith(".parquet") else _csv_rows
        for number, row in rows(store.read(info.key), address):
            label = Label(
                image_key=str(row["image_key"] or ""),
                label=str(row["label"] or ""),
                mask_key=row.get("mask_key") or None,
                labelled_by=row.get("labelled_by") or None,
                labelled_at=_when(row.get("labelled_at"), info.modified, address, number),
                kind=row.get("kind") or None,
                purpose=row.get("purpose") or "training",
            )
            _refuse_label(label, address, number)
            yield label


def _table_rows(data: bytes, address: str) -> Iterator[tuple[int, dict]]:
    table = parquet.from_bytes(data, address)
    _refuse_columns(table.column_names, address)
    yield from enumerate(table.to_pylist())


def _csv_rows(data: bytes, address: str) -> Iterator[tuple[int, dict]]:
    """Rows with the number an editor shows; the header is line 1. Spreadsheets put a byte order mark first."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise StorageError(f"{address} is not UTF-8 text ({e}): no label was read. Save it as UTF-8.") from e
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    _refuse_columns(reader.fieldnames or [], address)
    for row in reader:
        yield reader.line_num, {name: (row[name] or "").strip() for name in reader.fieldnames or []}


def _refuse_columns(names: Sequence[str], address: str) -> None:
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise StorageError(
            f"{address} has no column {' and no column '.join(missing)} (it has: {', '.join(names) or 'none'}), "
            f"so no label was read. It needs {' and '.join(_REQUIRED)}."
        )


def _refuse_label(label: Label, address: str, row: int) -> None:
    if label.label not in WORDS:
        raise StorageError(
            f"{address}, row {row}: the label {label.label!r} is unknown, so no label was read or written. "
            f"Use {' or '.join(WORDS)}."
        )
    if label.purpose not in PURPOSES:
        raise StorageError(
            f"{address}, row {row}: the purpose {label.purpose!r} is unknown, so no label was read or written. "
            f"Use {' or '.join(PURPOSES)}."
        )
    if not label.image_key:
        raise StorageError(f"{address}, row {row}: image_key is empty, so the label is of no image. Fill it in.")
    if label.labelled_at.tzinfo is None:
        raise StorageError(
            f"{address}, row {row}: labelled_at {label.labelled_at} has no time zone, so the latest label "
            "could not be told. Give UTC."
        )


def _when(value: object, otherwise: datetime, address: str, row: int) -> datetime:
    """A cell of labelled_at; text without a zone is UTC."""
    if value is None or value == "":
        return otherwise
    try:
        when = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as e:
        raise StorageError(
            f"{address}, row {row}: labelled_at {value!r} is no time, so the latest label could not be told. "
            "Write it like 2026-11-22T02:01:00Z."
        ) from e
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
