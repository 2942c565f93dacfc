"""Labels: normal or anomalous, and where the defect is.

Every label is kept: files are only added or appended to. An image's latest label is in force; the history has all of
them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from storage import layout
from storage.errors import StorageError, StoreNotFound, TransientFault
from storage.labels import annotators
from storage.labels import cells as label_cells
from storage.labels.csv_rows import csv_headings, csv_rows
from storage.labels.parquet_rows import parquet_headings, parquet_rows
from storage.labels.reading import TableReading
from storage.labels.times import EARLIEST, is_possible, time_of
from storage.records import ObjectInfo
from storage.stores import parquet
from storage.stores.store import Store
from storage.stores.swap import swap

DECIDED, WORDS = label_cells.DECIDED, label_cells.WORDS
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
"""labels in force; the view `labels` of storage.analysis.queries has these columns"""
HISTORY_SCHEMA = pa.schema([*SCHEMA, pa.field("model_version", pa.string()), pa.field("score", pa.float32())])
"""one row for each label; columns are only added, nullable and at the end"""
# Each lost swap means that the same reviewer's other label was kept: there are never many at once.
_ATTEMPTS = 100

Unread = Callable[[str, StorageError], None]
"""called with the key of an unreadable file, and why"""


@dataclass(frozen=True)
class Label:
    """One person's label of one image."""

    image_key: str
    label: str
    """one of WORDS"""
    mask_key: str | None
    """key of an image of the same size that is not black on the defect; None without one"""
    labelled_by: str | None
    labelled_at: datetime
    """UTC; an image's latest label is in force"""
    kind: str | None = None
    """kind of defect, such as 'scratch'"""
    purpose: str = "training"
    """'training': normal images may train a model; 'evaluation': kept for evaluation, never trained on"""
    model_version: str | None = None
    """of the score the person saw; None without one"""
    score: float | None = None
    """the score the person saw"""


@dataclass(frozen=True)
class Contradiction:
    """An image that one person labels normal and another anomalous."""

    image_key: str
    words: tuple[tuple[str | None, str, datetime], ...]
    """(person, latest word, time), earliest first; None stands for all labels without a name"""


def write_labels(store: Store, category: str, labels: Sequence[Label], name: str) -> str:
    """Write labels as labels/<category>/<name>.parquet, replacing a file of that name; returns its key.

    Raises StorageError for an unknown word.
    """
    key = layout.labels_key(category, f"{name}.parquet")
    for row, label in enumerate(labels, 1):
        _refuse_label(label, f"{store.address(key)}, row {row}")
    store.write(key, parquet.to_bytes(to_table(labels)))
    return key


def append_label(store: Store, category: str, label: Label, *, reviewer: str) -> str:
    """Append one label to labels/<category>/review-<reviewer>-<day>.parquet; returns the file's key.

    The label is in the store when this returns. Compare-and-swap protects concurrent writers; the same label again
    changes nothing. Raises StorageError for an unknown word or an empty name, Conflict if the file kept changing.
    """
    label = replace(label, labelled_by=annotators.as_kept(reviewer))
    key = layout.review_labels_key(category, reviewer, label.labelled_at.astimezone(UTC).date())
    address = store.address(key)
    _refuse_label(label, address)
    added = to_table([label])

    def change(data: bytes | None) -> bytes | None:
        if data is None:
            return parquet.to_bytes(added)
        table = parquet.from_bytes(data, address)
        if added.to_pylist()[0] in table.to_pylist():
            return None
        try:
            return parquet.to_bytes(pa.concat_tables([table, added], promote_options="default"))
        except pa.ArrowException as e:
            raise StorageError(
                f"{address} has columns of other types ({str(e).partition(chr(10))[0]}), so the label was not added. "
                "Move the file away and bring it in: rd-inspect labels."
            ) from e

    unfinished = (
        f"to add {reviewer}'s label of {label.image_key!r}: it is not kept. Find out who writes that file, and label "
        "the image again."
    )
    swap(store, key, change, unfinished=unfinished, attempts=_ATTEMPTS)
    return key


def undo(store: Store, category: str, undone: Label, *, reviewer: str, now: datetime) -> Label:
    """Take back all labels of an image by `reviewer` from `undone` on; returns the label that was added for it.

    It repeats the label that would be in force without them, or 'withdrawn', and counts as the reviewer's own. To
    take back several labels, undo the latest first. Unreadable files are ignored.
    """
    history = _in_time(store, category, lambda *_: None)
    of_image = [label for label in history if label.image_key == undone.image_key]
    mine = annotators.identity(reviewer)
    others = [
        label
        for label in of_image
        if annotators.identity(label.labelled_by) != mine or label.labelled_at < undone.labelled_at
    ]
    empty = Label(undone.image_key, "withdrawn", None, reviewer, now, None, undone.purpose)
    before = others[-1] if others else empty
    back = replace(before, labelled_by=reviewer, labelled_at=moment_after(of_image, now))
    append_label(store, category, back, reviewer=reviewer)
    return back


def moment_after(labels: Sequence[Label], now: datetime) -> datetime:
    """`now`, or just after the latest of `labels` if a clock runs ahead: a new label must be the latest."""
    latest = max((label.labelled_at for label in labels), default=None)
    return now if latest is None or latest < now else latest + timedelta(microseconds=1)


def read_labels(store: Store, category: str, *, unread: Unread | None = None) -> pa.Table:
    """The label in force of each labelled image, with SCHEMA's columns, sorted by image_key.

    The latest label is in force; an image whose latest is 'unsure' or 'withdrawn' has none. Reads every *.parquet,
    *.csv and *.tsv directly below labels/<category>/, see `read_label_file`. Of two labels with the same time the one
    in the last file by name counts. An unreadable file raises StorageError with file, row and value; with `unread`,
    that is called instead and the other files count.
    """
    latest = {label.image_key: label for label in _in_time(store, category, unread)}
    held = [latest[key] for key in sorted(latest) if latest[key].label in DECIDED]
    return to_table(held).select(SCHEMA.names)


def read_label_history(store: Store, category: str) -> pa.Table:
    """All labels of the category's images, with HISTORY_SCHEMA's columns, sorted by time.

    Files and errors as for `read_labels`; columns that a file lacks are null.
    """
    return to_table(_in_time(store, category))


def contradictions(history: pa.Table) -> list[Contradiction]:
    """Images for which different people's latest labels differ, sorted by key. `history`: from `read_label_history`.

    'unsure' and 'withdrawn' contradict nothing.
    """
    latest_words: dict[str, dict[str | None, tuple[str | None, str, datetime]]] = {}
    rows = history.select(["image_key", "labelled_by", "label", "labelled_at"]).to_pylist()
    for row in sorted(rows, key=lambda row: row["labelled_at"]):
        of_image, who = latest_words.setdefault(row["image_key"], {}), annotators.identity(row["labelled_by"])
        of_image.pop(who, None)  # so that the order is that of the latest words
        of_image[who] = (row["labelled_by"], row["label"], row["labelled_at"])
    disputed = []
    for key in sorted(latest_words):
        words = tuple(word for word in latest_words[key].values() if word[1] in DECIDED)
        if len({word for _, word, _ in words}) > 1:
            disputed.append(Contradiction(key, words))
    return disputed


def normal_image_keys(store: Store, category: str) -> list[str]:
    """Keys of the images labelled normal for training, sorted."""
    rows = read_labels(store, category).to_pylist()
    return [row["image_key"] for row in rows if (row["label"], row["purpose"]) == ("normal", "training")]


def list_label_categories(store: Store) -> list[str]:
    """Categories with labels, sorted."""
    names = store.children(layout.labels_root())
    return [name for name in names if layout.is_plain(name) and label_files(store, name)]


def unread_label_keys(store: Store) -> list[str]:
    """Keys below labels/ that look like labels but are not read, sorted: another file kind, or not directly in a
    category's folder."""
    root = layout.labels_root()
    unread = []
    for info in store.list(root):
        segments = info.key.removeprefix(root).split("/")
        read = len(segments) == 2 and layout.is_plain(segments[0]) and _is_label_file(segments[1])
        mask = len(segments) > 2 and segments[1] == "masks"
        if not read and not mask:
            unread.append(info.key)
    return unread


def label_files(store: Store, category: str) -> list[ObjectInfo]:
    """The files that hold the category's labels, sorted by name."""
    prefix = layout.labels_prefix(category)
    names = ((info, info.key.removeprefix(prefix)) for info in store.list(prefix))
    return [info for info, name in names if "/" not in name and _is_label_file(name)]


def _is_label_file(name: str) -> bool:
    return name.lower().endswith((".parquet", ".csv", ".tsv"))


def read_label_file(store: Store, info: ObjectInfo) -> list[Label]:
    """The labels of one of `label_files`, sorted by time. Raises StorageError as `read_labels`.

    A file needs at least image_key and label. A label without labelled_at, or with an impossible one
    (storage.labels.times), has the file's write time: one from the future would overrule every correction.
    """
    stated = sorted(_stated(store, info), key=lambda label: label.labelled_at)
    return [label if _is_possible_in(info, label) else replace(label, labelled_at=info.modified) for label in stated]


def impossible_times(store: Store, info: ObjectInfo) -> list[Label]:
    """The labels of one of `label_files` with an impossible time, unchanged."""
    return [label for label in _stated(store, info) if not _is_possible_in(info, label)]


def _is_possible_in(info: ObjectInfo, label: Label) -> bool:
    # Archives may give a file no time, or that of the epoch: then only the clock can tell.
    written = info.modified if info.modified >= EARLIEST else datetime.now(UTC)
    return label.labelled_at == info.modified or is_possible(label.labelled_at, written)


def _stated(store: Store, info: ObjectInfo) -> list[Label]:
    rows = rows_in(store.read(info.key), store.address(info.key))
    return [to_label(cells, otherwise=info.modified, purpose="training") for _, cells in rows]


_AS_IT_STANDS = TableReading()


def rows_in(data: bytes, address: str, reading: TableReading = _AS_IT_STANDS) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, values by Label's fields, None if missing) of each label of a file.

    `address` names the file in messages; its suffix selects Parquet or text. Raises StorageError as `read_labels`.
    """
    rows = parquet_rows if address.lower().endswith(".parquet") else csv_rows
    for where, row in rows(data, address, reading):
        cells: dict[str, Any] = {
            name: label_cells.text_of(row.get(name), name, where)
            for name in HISTORY_SCHEMA.names
            if name not in ("labelled_at", "score")
        }
        cells["labelled_by"] = annotators.as_kept(cells["labelled_by"])
        cells["labelled_at"] = time_of(row.get("labelled_at"), where)
        cells["score"] = label_cells.number_of(row.get("score"), where)
        # A spreadsheet begins a cell with a capital.
        cells["purpose"] = cells["purpose"] and cells["purpose"].lower()
        cells["label"] = cells["label"] and reading.word(cells["label"])
        _refuse_label(to_label(cells, otherwise=EARLIEST, purpose="training"), where)
        yield where, cells


def other_columns(data: bytes, address: str, reading: TableReading = _AS_IT_STANDS) -> list[str]:
    """The headings of a file's columns that are not ours and not read. Else as `rows_in`."""
    read = parquet_headings if address.lower().endswith(".parquet") else csv_headings
    headings, ours = read(data, address, reading)
    return [heading for index, heading in enumerate(headings) if heading and index not in ours.values()]


def to_label(cells: dict[str, Any], *, otherwise: datetime, purpose: str) -> Label:
    """A row of `rows_in` as a label; `otherwise` and `purpose` are the defaults of time and purpose."""
    stated = {**cells, "image_key": cells["image_key"] or "", "label": cells["label"] or ""}
    stated["labelled_at"] = stated["labelled_at"] or otherwise
    stated["purpose"] = stated["purpose"] or purpose
    return Label(**stated)


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
    """The labels of several files by time, so that an image's last one is the latest.

    A person is named by the first spelling.
    """
    ordered = sorted(labels, key=lambda label: label.labelled_at)
    spelled = annotators.spellings(label.labelled_by for label in ordered)
    return [
        label if label.labelled_by == spelled[label.labelled_by] else
        replace(label, labelled_by=spelled[label.labelled_by])
        for label in ordered
    ]  # fmt: skip


def read_each_label_file(store: Store, infos: Iterable[ObjectInfo], unread: Unread) -> Iterator[list[Label]]:
    """`read_label_file` of each readable one of `infos`; `unread` is called for the others."""
    for info in infos:
        try:
            yield read_label_file(store, info)
        except (TransientFault, StoreNotFound):
            raise
        except StorageError as e:
            unread(info.key, e)


def _in_time(store: Store, category: str, unread: Unread | None = None) -> list[Label]:
    def refuse(_: str, error: StorageError) -> None:
        raise error

    files = read_each_label_file(store, label_files(store, category), unread or refuse)
    return in_time(label for words in files for label in words)


def _refuse_label(label: Label, where: str) -> None:
    for name, word, known in (("label", label.label, WORDS), ("purpose", label.purpose, PURPOSES)):
        if word not in known:
            usual, others = known[:2], known[2:]
            mean = f" Or say what it means: --word {word}=normal, or =anomalous." if word and name == "label" else ""
            raise StorageError(
                f"{where}: the {name} {word!r} is unknown, so no label was read or written. "
                f"Use {' or '.join(usual)}{', or ' if others else ''}{' or '.join(others)}.{mean}"
            )
    if not label.image_key:
        raise StorageError(f"{where}: image_key is empty, so the label has no image. Fill it in.")
    for name in ("image_key", "mask_key", "labelled_by", "kind", "model_version"):
        label_cells.text_of(getattr(label, name), name, where)
    if label.labelled_at.tzinfo is None:
        raise StorageError(
            f"{where}: labelled_at {label.labelled_at} has no time zone, so the latest label is unknown. Give UTC."
        )
