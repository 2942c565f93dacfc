"""What people say of images: normal or anomalous, and where the defect is.

Every label is kept: files are only added, or appended to. Of an image the latest word holds, and the history
tells who said what before.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from storage import layout, parquet
from storage.errors import StorageError
from storage.records import ObjectInfo
from storage.store import Store
from storage.swap import swap

DECIDED = ("normal", "anomalous")
WORDS = (*DECIDED, "unsure", "withdrawn")
"""'unsure': somebody looked and could not tell; 'withdrawn': somebody took the word before back"""
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
"""what holds of an image; the view `labels` of storage.queries has these columns"""
HISTORY_SCHEMA = pa.schema([*SCHEMA, pa.field("model_version", pa.string()), pa.field("score", pa.float32())])
"""what the files hold, one row a word; columns are only ever added, at the end and nullable"""
# Each lost swap means that the same reviewer's other label was kept: there are never many at once.
_ATTEMPTS = 100
_REQUIRED = ("image_key", "label")


@dataclass(frozen=True)
class Label:
    """One person's word on one image."""

    image_key: str
    label: str
    """one of WORDS"""
    mask_key: str | None
    """key of an image of the same size, not black where the defect is; None if nobody drew one"""
    labelled_by: str | None
    labelled_at: datetime
    """UTC; of several labels of an image the latest holds"""
    kind: str | None = None
    """kind of defect, such as 'scratch'"""
    purpose: str = "training"
    """'training': a normal of it may train a model; 'evaluation': kept to judge models by, never trained on"""
    model_version: str | None = None
    """of the score the person saw; None if they saw none"""
    score: float | None = None
    """which they saw, of that model"""


@dataclass(frozen=True)
class Contradiction:
    """An image that one person calls normal and another anomalous."""

    image_key: str
    words: tuple[tuple[str | None, str, datetime], ...]
    """(who, latest word, when), the earliest first; None stands for all labels without a name"""


def write_labels(store: Store, category: str, labels: Sequence[Label], name: str) -> str:
    """Write labels as labels/<category>/<name>.parquet, in place of an earlier file of that name; its key.

    StorageError if a label's word is unknown.
    """
    key = layout.labels_key(category, f"{name}.parquet")
    for row, label in enumerate(labels):
        _refuse_label(label, store.address(key), row)
    store.write(key, parquet.to_bytes(to_table(labels)))
    return key


def append_label(store: Store, category: str, label: Label, *, reviewer: str) -> str:
    """Add one word of `reviewer` to labels/<category>/review-<reviewer>-<day>.parquet; that file's key.

    The label is in the store when this returns. It goes in by compare-and-swap, so that others who write the same
    file lose nothing; adding the very same label again changes nothing. StorageError if its word is unknown or the
    reviewer has no name, Conflict if the file kept changing.
    """
    label = replace(label, labelled_by=reviewer)
    key = layout.review_labels_key(category, reviewer, label.labelled_at.astimezone(UTC).date())
    address = store.address(key)
    _refuse_label(label, address, 0)
    added = to_table([label])

    def change(data: bytes | None) -> bytes | None:
        if data is None:
            return parquet.to_bytes(added)
        found = parquet.from_bytes(data, address)
        if added.to_pylist()[0] in found.to_pylist():
            return None
        return parquet.to_bytes(pa.concat_tables([found, added], promote_options="default"))

    unfinished = (
        f"to add {reviewer}'s label of {label.image_key!r}: it is not kept. Find out who writes that file, and label "
        "the image again."
    )
    swap(store, key, change, unfinished=unfinished, attempts=_ATTEMPTS)
    return key


def undo(store: Store, category: str, undone: Label, *, reviewer: str, now: datetime) -> Label:
    """Take back what `reviewer` said of an image from `undone` on, and return the label that was added for it.

    It repeats what would hold had the reviewer been silent since: the word before, whoever said it, or 'withdrawn'
    if there was none. It counts as the reviewer's own word: who lets a label stand shares it. To take back several
    words, undo the latest first.
    """
    of_image = [label for label in _in_time(store, category) if label.image_key == undone.image_key]
    others = [label for label in of_image if label.labelled_by != reviewer or label.labelled_at < undone.labelled_at]
    empty = Label(undone.image_key, "withdrawn", None, reviewer, now, None, undone.purpose)
    before = others[-1] if others else empty
    back = replace(before, labelled_by=reviewer, labelled_at=moment_after(of_image, now))
    append_label(store, category, back, reviewer=reviewer)
    return back


def moment_after(labels: Sequence[Label], now: datetime) -> datetime:
    """`now`, or just after the latest of `labels` where a clock runs ahead: a new word must come last to hold."""
    latest = max((label.labelled_at for label in labels), default=now)
    return now if latest < now else latest + timedelta(microseconds=1)


def read_labels(store: Store, category: str) -> pa.Table:
    """Each labelled image's label that holds, with SCHEMA's columns, sorted by image_key.

    The latest word holds; an image whose latest word is 'unsure' or 'withdrawn' has no label. Labels come from every
    *.parquet and *.csv right below labels/<category>/. A file needs at least image_key and label; a label without
    labelled_at counts as made when its file was written. Of two labels of the same time the one in the file whose
    name sorts last holds. StorageError names file, row and value of a mistake.
    """
    latest = {label.image_key: label for label in _in_time(store, category)}
    held = [latest[key] for key in sorted(latest) if latest[key].label in DECIDED]
    return to_table(held).select(SCHEMA.names)


def read_label_history(store: Store, category: str) -> pa.Table:
    """Every word ever said of the category's images, with HISTORY_SCHEMA's columns, sorted by time.

    Of each image the last row is the latest word. Files and errors as for `read_labels`; what a file has no column
    for is null.
    """
    return to_table(_in_time(store, category))


def contradictions(history: pa.Table) -> list[Contradiction]:
    """Images on which different people's latest words differ, sorted by key. `history` as `read_label_history` gives.

    Who is unsure, or took their word back, contradicts nobody.
    """
    said: dict[str, dict[str | None, tuple[str, datetime]]] = {}
    rows = history.select(["image_key", "labelled_by", "label", "labelled_at"]).to_pylist()
    for row in sorted(rows, key=lambda row: row["labelled_at"]):
        of_image = said.setdefault(row["image_key"], {})
        of_image.pop(row["labelled_by"], None)  # so that the order is that of the latest words
        of_image[row["labelled_by"]] = (row["label"], row["labelled_at"])
    found = []
    for key in sorted(said):
        words = tuple((who, word, when) for who, (word, when) in said[key].items() if word in DECIDED)
        if len({word for _, word, _ in words}) > 1:
            found.append(Contradiction(key, words))
    return found


def normal_image_keys(store: Store, category: str) -> list[str]:
    """Keys of the images that are labelled normal and may be trained on, sorted."""
    rows = read_labels(store, category).to_pylist()
    return [row["image_key"] for row in rows if (row["label"], row["purpose"]) == ("normal", "training")]


def list_label_categories(store: Store) -> list[str]:
    """Categories that have labels, sorted."""
    return store.children(layout.labels_root())


def label_files(store: Store, category: str) -> list[ObjectInfo]:
    """The files that hold the category's labels, sorted by name."""
    prefix = layout.labels_prefix(category)
    names = ((info, info.key.removeprefix(prefix)) for info in store.list(prefix))
    return [info for info, name in names if "/" not in name and name.endswith((".parquet", ".csv"))]


def read_label_file(store: Store, info: ObjectInfo) -> list[Label]:
    """The labels in one of `label_files`, in the order they stand there. StorageError as for `read_labels`."""
    return labels_of_bytes(store.read(info.key), store.address(info.key), info.modified)


def labels_of_bytes(
    data: bytes, address: str, otherwise: datetime, purpose_of: Callable[[str], str] = lambda _: "training"
) -> list[Label]:
    """The labels in the bytes of a *.parquet or *.csv file.

    `address` names the file in messages, and its suffix tells which it is; `otherwise` is when a label without a time
    counts as made, and `purpose_of` its image key tells the purpose of one that names none. StorageError as for
    `read_labels`.
    """
    rows = _table_rows if address.lower().endswith(".parquet") else _csv_rows
    found = []
    for number, row in rows(data, address):
        label = Label(
            image_key=str(row["image_key"] or ""),
            label=str(row["label"] or ""),
            mask_key=row.get("mask_key") or None,
            labelled_by=row.get("labelled_by") or None,
            labelled_at=_when(row.get("labelled_at"), otherwise, address, number),
            kind=row.get("kind") or None,
            purpose=row.get("purpose") or purpose_of(str(row["image_key"] or "")),
            model_version=row.get("model_version") or None,
            score=_number(row.get("score"), address, number),
        )
        _refuse_label(label, address, number)
        found.append(label)
    return found


def to_table(labels: Iterable[Label]) -> pa.Table:
    """Labels as a table of HISTORY_SCHEMA."""
    rows = list(labels)
    arrays = [pa.array([getattr(row, field.name) for row in rows], field.type) for field in HISTORY_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=HISTORY_SCHEMA)


def to_labels(history: pa.Table) -> list[Label]:
    """A table of HISTORY_SCHEMA as labels."""
    names = [field.name for field in fields(Label)]
    return [Label(*row) for row in zip(*(history[name].to_pylist() for name in names), strict=True)]


def in_time(labels: Iterable[Label]) -> list[Label]:
    """Labels of one file after the other by time: of an image the last one is the latest word."""
    return sorted(labels, key=lambda label: label.labelled_at)


def _in_time(store: Store, category: str) -> list[Label]:
    files = label_files(store, category)
    return in_time(label for info in files for label in read_label_file(store, info))


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
            f"Use {' or '.join(DECIDED)}, or {' or '.join(WORDS[len(DECIDED) :])}."
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


def _number(value: object, address: str, row: int) -> float | None:
    """A cell of score."""
    if value is None or value == "":
        return None
    try:
        return float(str(value))
    except ValueError as e:
        raise StorageError(
            f"{address}, row {row}: score {value!r} is no number, so no label was read. Leave it empty if unknown."
        ) from e
