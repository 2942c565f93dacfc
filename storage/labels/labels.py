"""What people say of images: normal or anomalous, and where the defect is.

Every label is kept: files are only added, or appended to. Of an image the latest word holds, and the history
tells who said what before.
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
"""what holds of an image; the view `labels` of storage.analysis.queries has these columns"""
HISTORY_SCHEMA = pa.schema([*SCHEMA, pa.field("model_version", pa.string()), pa.field("score", pa.float32())])
"""what the files hold, one row a word; columns are only ever added, at the end and nullable"""
# Each lost swap means that the same reviewer's other label was kept: there are never many at once.
_ATTEMPTS = 100

Unread = Callable[[str, StorageError], None]
"""is told the key of a file that does not read, and why"""


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
    for row, label in enumerate(labels, 1):
        _refuse_label(label, f"{store.address(key)}, row {row}")
    store.write(key, parquet.to_bytes(to_table(labels)))
    return key


def append_label(store: Store, category: str, label: Label, *, reviewer: str) -> str:
    """Add one word of `reviewer` to labels/<category>/review-<reviewer>-<day>.parquet; that file's key.

    The label is in the store when this returns. It goes in by compare-and-swap, so that others who write the same
    file lose nothing; adding the very same label again changes nothing. StorageError if its word is unknown or the
    reviewer has no name, Conflict if the file kept changing.
    """
    label = replace(label, labelled_by=annotators.as_kept(reviewer))
    key = layout.review_labels_key(category, reviewer, label.labelled_at.astimezone(UTC).date())
    address = store.address(key)
    _refuse_label(label, address)
    added = to_table([label])

    def change(data: bytes | None) -> bytes | None:
        if data is None:
            return parquet.to_bytes(added)
        found = parquet.from_bytes(data, address)
        if added.to_pylist()[0] in found.to_pylist():
            return None
        try:
            return parquet.to_bytes(pa.concat_tables([found, added], promote_options="default"))
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
    """Take back what `reviewer` said of an image from `undone` on, and return the label that was added for it.

    It repeats what would hold had the reviewer been silent since: the word before, whoever said it, or 'withdrawn'
    if there was none. It counts as the reviewer's own word: who lets a label stand shares it. To take back several
    words, undo the latest first. What files say that do not read is not known.
    """
    said = _in_time(store, category, lambda *_: None)
    of_image = [label for label in said if label.image_key == undone.image_key]
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
    """`now`, or just after the latest of `labels` where a clock runs ahead: a new word must come last to hold."""
    latest = max((label.labelled_at for label in labels), default=None)
    return now if latest is None or latest < now else latest + timedelta(microseconds=1)


def read_labels(store: Store, category: str, *, unread: Unread | None = None) -> pa.Table:
    """Each labelled image's label that holds, with SCHEMA's columns, sorted by image_key.

    The latest word holds; an image whose latest word is 'unsure' or 'withdrawn' has no label. Labels come from every
    *.parquet, *.csv and *.tsv right below labels/<category>/, see `read_label_file`. Of two labels of the same time
    the one in the file whose name sorts last holds. A file that does not read raises StorageError, which names file,
    row and value of the mistake; if `unread` is given it is told instead, and the other files count.
    """
    latest = {label.image_key: label for label in _in_time(store, category, unread)}
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
    said: dict[str, dict[str | None, tuple[str | None, str, datetime]]] = {}
    rows = history.select(["image_key", "labelled_by", "label", "labelled_at"]).to_pylist()
    for row in sorted(rows, key=lambda row: row["labelled_at"]):
        of_image, who = said.setdefault(row["image_key"], {}), annotators.identity(row["labelled_by"])
        of_image.pop(who, None)  # so that the order is that of the latest words
        of_image[who] = (row["labelled_by"], row["label"], row["labelled_at"])
    disputed = []
    for key in sorted(said):
        words = tuple(word for word in said[key].values() if word[1] in DECIDED)
        if len({word for _, word, _ in words}) > 1:
            disputed.append(Contradiction(key, words))
    return disputed


def normal_image_keys(store: Store, category: str) -> list[str]:
    """Keys of the images that are labelled normal and may be trained on, sorted."""
    rows = read_labels(store, category).to_pylist()
    return [row["image_key"] for row in rows if (row["label"], row["purpose"]) == ("normal", "training")]


def list_label_categories(store: Store) -> list[str]:
    """Categories that have labels, sorted."""
    names = store.children(layout.labels_root())
    return [name for name in names if layout.is_plain(name) and label_files(store, name)]


def unread_label_keys(store: Store) -> list[str]:
    """Keys below labels/ that look like somebody's labels and that nobody reads, sorted: of another kind of file, or
    not right below a category's folder."""
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
    """The labels in one of `label_files`, sorted by time. StorageError as for `read_labels`.

    A file needs at least image_key and label; a label without labelled_at counts as made when its file was written,
    and so does one whose time cannot be true (storage.labels.times): one from the future would outvote every
    correction.
    """
    stated = sorted(_stated(store, info), key=lambda label: label.labelled_at)
    return [label if _is_possible_in(info, label) else replace(label, labelled_at=info.modified) for label in stated]


def impossible_times(store: Store, info: ObjectInfo) -> list[Label]:
    """The labels in one of `label_files` whose time cannot be true, as they stand there."""
    return [label for label in _stated(store, info) if not _is_possible_in(info, label)]


def _is_possible_in(info: ObjectInfo, label: Label) -> bool:
    # Archives may give a file no time, or that of the epoch: then only the clock can tell.
    written = info.modified if info.modified >= EARLIEST else datetime.now(UTC)
    return label.labelled_at == info.modified or is_possible(label.labelled_at, written)


def _stated(store: Store, info: ObjectInfo) -> list[Label]:
    said = said_in(store.read(info.key), store.address(info.key))
    return [to_label(cells, otherwise=info.modified, purpose="training") for _, cells in said]


_AS_IT_STANDS = TableReading()


def said_in(data: bytes, address: str, reading: TableReading = _AS_IT_STANDS) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it stands, values by Label's fields; None where the file says nothing) of each label of a file.

    `address` names the file in messages, and its suffix tells whether the bytes are Parquet or text. StorageError as
    for `read_labels`.
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
    """The headings of a file's columns that are none of ours: nothing in them is read. Else as for `said_in`."""
    read = parquet_headings if address.lower().endswith(".parquet") else csv_headings
    headings, ours = read(data, address, reading)
    return [heading for index, heading in enumerate(headings) if heading and index not in ours.values()]


def to_label(cells: dict[str, Any], *, otherwise: datetime, purpose: str) -> Label:
    """What `said_in` gives as a label, made at `otherwise` and of `purpose` where the file does not say."""
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
    """Labels of one file after the other by time: of an image the last one is the latest word.

    Everybody is named as in their first word, however they are spelled later.
    """
    ordered = sorted(labels, key=lambda label: label.labelled_at)
    spelled = annotators.spellings(label.labelled_by for label in ordered)
    return [
        label if label.labelled_by == spelled[label.labelled_by] else
        replace(label, labelled_by=spelled[label.labelled_by])
        for label in ordered
    ]  # fmt: skip


def read_each_label_file(store: Store, infos: Iterable[ObjectInfo], unread: Unread) -> Iterator[list[Label]]:
    """`read_label_file` of each of `infos` that reads; `unread` is told of the others."""
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
    return in_time(label for found in files for label in found)


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
        raise StorageError(f"{where}: image_key is empty, so the label is of no image. Fill it in.")
    for name in ("image_key", "mask_key", "labelled_by", "kind", "model_version"):
        label_cells.text_of(getattr(label, name), name, where)
    if label.labelled_at.tzinfo is None:
        raise StorageError(
            f"{where}: labelled_at {label.labelled_at} has no time zone, so the latest label could not be told. "
            "Give UTC."
        )
