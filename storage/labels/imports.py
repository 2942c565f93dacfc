"""Import of label files: checked against the images, then stored below labels/<category>/."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from storage import layout
from storage.errors import StorageError, UnreadableImage
from storage.images import decode_mask
from storage.labels import labels
from storage.labels.annotators import identity
from storage.labels.known_images import KnownImages, Names, UnusableLabels
from storage.labels.label_studio import Annotation, Export, read_export
from storage.labels.labels import Label
from storage.labels.reading import TableReading
from storage.labels.times import refuse_impossible
from storage.pictures.masks import mask_png
from storage.stores.store import Store

SUFFIXES = (".json", ".csv", ".tsv", ".parquet")
_LONGEST_STEM = 60
_LONGEST_NAME = 200
"""bytes of an image's name that its masks' names repeat; file systems allow 255"""
_DIGEST = len("-01234567")
"""suffix of the file an import writes"""
KeysOf = Callable[[Mapping[str, Any]], tuple[str, str | None] | None]
"""(image key, mask key) of a table row"""
_NEXT = timedelta(microseconds=1)
_AS_IT_STANDS = TableReading()
_OTHER_FILES = {
    ".xlsx": "an Excel workbook: save the table as CSV UTF-8",
    ".xls": "an Excel workbook: save the table as CSV UTF-8",
    ".ods": "a workbook: save the table as CSV, in UTF-8",
    ".jsonl": "one JSON record a line: export it from Label Studio as 'JSON'",
    ".xml": "an export of CVAT or Pascal VOC: bring a table with the columns image_key and label",
    ".txt": "text, such as YOLO's: bring a table with the columns image_key and label, as .csv",
    ".zip": "an archive: unpack it, and bring in the export within",
}


@dataclass(frozen=True)
class Imported:
    """The result of an import."""

    words: Mapping[str, int]
    """number of labels by word in the file"""
    new: int
    """number of labels that were not in the store before; the others stay as they are"""
    masks: int
    """number of masks in the file"""
    left_out: int
    """number of cancelled or empty annotations"""
    people: int
    key: str | None
    """the written label file; None if nothing is new"""
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    """number of regions and choices on other pictures of the tasks, by the picture's tag"""
    unheard: Mapping[str, int] = field(default_factory=dict)
    """number of answers that a label has no field for, by type"""
    columns: Sequence[str] = ()
    """columns of a table that are not ours and were not read"""
    outvoted: int = 0
    """labels without a time that repeat an earlier one, which a later label has overruled"""


def import_labels(
    store: Store,
    images: Store,
    category: str,
    data: bytes,
    file_name: str,
    *,
    now: datetime,
    purpose: str | None = None,
    choices: Mapping[str, str] | None = None,
    image_tag: str | None = None,
    table: TableReading = _AS_IT_STANDS,
) -> Imported:
    """Import a file's labels of a category's images, with masks; importing it again changes nothing.

    `file_name` ends in one of SUFFIXES: Label Studio's JSON export, or a table as of `storage.labels.labels`. A label
    without a time is made `now`, unless it repeats the person's latest label of the image or that of an earlier
    version of the file; then it is not new. `purpose`: of labels without one; default: the image's own, or training.
    `choices` and `image_tag` as for `read_export`; `table`: how to read a table. Raises UnusableLabels and
    StorageError, without writing a label.
    """
    is_table = refuse_other_file(file_name) != ".json"
    if is_table and image_tag is not None:
        raise UnusableLabels(f"{file_name} is a table, which has no Image tags. Leave --image-tag out.")
    if not is_table and table.is_given:
        raise UnusableLabels(
            f"{file_name} is Label Studio's JSON, which has no columns and no delimiter, so no label was read. Leave "
            "--delimiter, --encoding and --column out."
        )
    known = KnownImages(images, category)
    if not is_table:
        export = read_export(data, known.key_of, choices, now=now, image_tag=image_tag)
        return _import_export(store, category, export, _name(file_name, data, (choices, image_tag)), purpose)
    plan = plan_table(
        store,
        category,
        data,
        file_name,
        now=now,
        purpose=purpose,
        table=table,
        keys_of=lambda cells: (known.key_of(cells["image_key"]), cells["mask_key"]),
    )
    return write_plan(store, category, plan)


def _import_export(store: Store, category: str, export: Export, name: str, purpose: str | None) -> Imported:
    history = labels.to_labels(labels.read_label_history(store, category))
    purposes = {label.image_key: label.purpose for label in history}
    masks: dict[str, bytes] = {}
    incoming = [
        _label(annotation, category, masks, purpose or purposes.get(annotation.image_key))
        for annotation in export.annotations
    ]
    plan = _plan(store, category, name, _as_known(incoming, history), history)
    done = write_plan(store, category, replace(plan, masks=masks))
    left_out = export.cancelled + export.empty
    return replace(done, left_out=left_out, elsewhere=export.elsewhere, unheard=export.unheard)


def refuse_other_file(file_name: str) -> str:
    """The lower-case suffix of the name. Raises UnusableLabels if it is not in SUFFIXES."""
    suffix = file_name[file_name.rfind(".") :].lower() if "." in file_name else ""
    if suffix not in SUFFIXES:
        what = f"is {_OTHER_FILES[suffix]}" if suffix in _OTHER_FILES else "is of a kind that is not known"
        raise UnusableLabels(f"{file_name} {what}. Nothing was read. Files end in {', '.join(SUFFIXES)}.")
    return suffix


@dataclass(frozen=True)
class LabelPlan:
    """The contents of a file, and what is to be written."""

    name: str
    """name of the file to write"""
    labels: Sequence[Label]
    """all labels of the file"""
    new: Sequence[Label]
    beside: Sequence[Label] = ()
    """the labels in the stored file of that name"""
    masks: Mapping[str, bytes] = field(default_factory=dict)
    """PNGs by key"""
    columns: Sequence[str] = ()
    outvoted: int = 0


def plan_table(
    store: Store,
    category: str,
    data: bytes,
    file_name: str,
    *,
    keys_of: KeysOf,
    masks_are_there: bool = True,
    now: datetime,
    purpose: str | None = None,
    table: TableReading = _AS_IT_STANDS,
) -> LabelPlan:
    """The labels of a table; writes nothing.

    `keys_of`: keys of a row's image and mask; None skips the row. `masks_are_there`: masks are in the store and
    checked there; otherwise they are written with the labels. Else as `import_labels`.
    """
    name = _name(file_name, data, table if table.is_given else None)
    history = labels.to_labels(labels.read_label_history(store, category))
    before = _Before(_by_image(history), _earlier_versions(store, category, name), now, purpose)
    rows = []
    try:
        for where, cells in labels.rows_in(data, file_name, table):
            if keys := _located(keys_of, cells, where):
                rows.append(before.label({**cells, "image_key": keys[0], "mask_key": keys[1]}, where))
    except UnusableLabels:
        raise
    except StorageError as e:
        raise UnusableLabels(str(e)) from e
    if masks_are_there:
        rows = _with_masks(store, category, rows, {label.mask_key for label in history})
    plan = _plan(store, category, name, rows, history)
    return replace(plan, columns=labels.other_columns(data, file_name, table), outvoted=before.outvoted)


def _plan(store: Store, category: str, name: str, incoming: Sequence[Label], history: Sequence[Label]) -> LabelPlan:
    """The new labels of a file. Of a file imported before, only those of images that were missing then; labels given
    since stay in force."""
    same = [info for info in labels.label_files(store, category) if info.key.endswith(name[-_DIGEST:] + ".parquet")]
    beside = [label for info in same for label in labels.read_label_file(store, info)]
    heard = {label.image_key for label in history} if same else set()
    stored = {_word(label) for label in history}
    incoming = list(_after_other_readings(incoming, history))
    new = [label for label in dict.fromkeys(incoming) if _word(label) not in stored and label.image_key not in heard]
    return LabelPlan(
        name, incoming, new, beside if any(info.key.endswith(f"/{name}.parquet") for info in same) else ()
    )


def _after_other_readings(incoming: Sequence[Label], history: Iterable[Label]) -> Iterator[Label]:
    """Labels whose word is read differently than before, with another --word: they come just after the earlier
    reading, so that they overrule it and nothing that people said since."""
    stored = {_moment(label): label for label in history}
    words = Counter(_moment(label) for label in dict.fromkeys(incoming))
    for label in incoming:
        latest, free = None, label
        while words[_moment(label)] == 1 and (before := stored.get(_moment(free))):
            latest, free = before, replace(free, labelled_at=free.labelled_at + _NEXT)
        again = replace(label, labelled_at=latest.labelled_at) if latest else label
        yield again if latest is None or _word(again) == _word(latest) else free


def _moment(label: Label) -> tuple[object, ...]:
    return (identity(label.labelled_by), label.image_key, label.labelled_at)


def write_plan(store: Store, category: str, plan: LabelPlan) -> Imported:
    """Write the new labels, masks first."""
    if plan.new:
        for mask_key, png in plan.masks.items():
            store.write(mask_key, png)
        labels.write_labels(store, category, [*plan.beside, *plan.new], plan.name)
    return Imported(
        words=Counter(label.label for label in plan.labels),
        new=len(plan.new),
        masks=len(plan.masks),
        left_out=0,
        people=len({identity(label.labelled_by) for label in plan.labels}),
        key=layout.labels_key(category, f"{plan.name}.parquet") if plan.new else None,
        columns=plan.columns,
        outvoted=plan.outvoted,
    )


def _label(annotation: Annotation, category: str, masks: dict[str, bytes], purpose: str | None) -> Label:
    mask_key = None
    if annotation.mask is not None:
        png = mask_png(annotation.mask)
        day, name = annotation.image_key.removeprefix(layout.category_images_prefix(category)).split("/", 1)
        # Named by its content: several people's masks of an image stand side by side, and none is replaced.
        digest = hashlib.sha256(png).hexdigest()[:12]
        folder, _, last = name.rpartition("/")
        short = last.encode()[:_LONGEST_NAME].decode(errors="ignore")
        whole = f"{folder}/{short}" if folder else short
        mask_key = layout.mask_key(category, date.fromisoformat(day), f"{whole}.{digest}.png")
        masks[mask_key] = png
    return Label(
        annotation.image_key,
        annotation.word,
        mask_key,
        annotation.annotator,
        annotation.time,
        annotation.kind,
        purpose or "training",
    )


def _as_known(incoming: Sequence[Label], history: Iterable[Label]) -> list[Label]:
    """The labels of an export under the names of an earlier export: the same word at the same microsecond is the same
    person's, given as an address or a number."""
    people: dict[tuple[object, ...], set[str | None]] = defaultdict(set)
    for label in history:
        people[_word(label)[1:]].add(label.labelled_by)
    names: dict[str | None, set[str | None]] = defaultdict(set)
    for label in incoming:
        names[label.labelled_by] |= people.get(_word(label)[1:], set())
    one_name = {by: min(known, key=str) for by, known in names.items() if len(known) == 1}
    return [replace(label, labelled_by=one_name.get(label.labelled_by, label.labelled_by)) for label in incoming]


@dataclass
class _Before:
    """Earlier labels of each image for the rows of a table: in the store, in earlier versions of the table, and
    above."""

    of_image: dict[str, list[Label]]
    earlier: Mapping[str, Sequence[Label]]
    now: datetime
    purpose: str | None
    outvoted: int = 0
    """names of all labels so far"""
    lines: dict[tuple[object, ...], tuple[str, Label]] = field(default_factory=dict)

    def label(self, cells: dict[str, Any], where: str) -> Label:
        """The row as a label. Without a time it takes that of the label it repeats, the person's latest or one of an
        earlier version of the file; else a time after all labels of the image."""
        earlier = self.of_image[cells["image_key"]]
        kept = earlier[-1].purpose if earlier else "training"
        label = labels.to_label(cells, otherwise=self.now, purpose=self.purpose or kept)
        refuse_impossible(label.labelled_at, self.now, where)
        _refuse_two_words(label, where, self.lines)
        if cells["labelled_at"] is None:
            label = _with_time(label, earlier, self.earlier.get(label.image_key, ()), self.now)
            self.outvoted += (
                bool(earlier) and label.labelled_at < earlier[-1].labelled_at and label.label != earlier[-1].label
            )
        earlier.append(label)
        return label


def _by_image(history: Iterable[Label]) -> dict[str, list[Label]]:
    by_image: dict[str, list[Label]] = defaultdict(list)
    for label in history:
        by_image[label.image_key].append(label)
    return by_image


def _earlier_versions(store: Store, category: str, name: str) -> dict[str, list[Label]]:
    """Labels of each image, by time, in earlier files stored under `name`."""
    versions = re.compile(rf"{re.escape(name[:-_DIGEST])}-[0-9a-f]{{{_DIGEST - 1}}}\.parquet")
    infos = [info for info in labels.label_files(store, category) if versions.fullmatch(info.key.rpartition("/")[2])]
    return _by_image(labels.in_time(label for info in infos for label in labels.read_label_file(store, info)))


def _located(keys_of: KeysOf, cells: Mapping[str, Any], where: str) -> tuple[str, str | None] | None:
    try:
        return keys_of(cells)
    except UnusableLabels as e:
        raise UnusableLabels(f"{where}: {e}") from e


def _refuse_two_words(label: Label, where: str, lines: dict[tuple[object, ...], tuple[str, Label]]) -> None:
    before, other = lines.setdefault(_moment(label), (where, label))
    if _in_words(other) != _in_words(label):
        raise UnusableLabels(
            f"{where}: {label.image_key!r} is {_in_words(label)}, and in {before.rpartition(', ')[2]} it is "
            f"{_in_words(other)}, by the same person at the same time, so the right one is unknown and no label was "
            "read. Give the image one row; several defects can be marked in one mask."
        )


def _in_words(label: Label) -> str:
    return " ".join(filter(None, (label.label, label.kind and f"({label.kind})", label.mask_key)))


def _with_time(label: Label, words: Sequence[Label], earlier: Sequence[Label], now: datetime) -> Label:
    for seen in (earlier, words):
        mine = [word for word in seen if identity(word.labelled_by) == identity(label.labelled_by)]
        if mine and _word(replace(label, labelled_at=mine[-1].labelled_at)) == _word(mine[-1]):
            return replace(label, labelled_at=mine[-1].labelled_at)
    return replace(label, labelled_at=labels.moment_after(words, now))


def _with_masks(store: Store, category: str, incoming: Sequence[Label], known: Collection[str | None]) -> list[Label]:
    """The labels with their masks' keys in the store; every mask that is not `known` is read once."""
    if not any(label.mask_key for label in incoming):
        return list(incoming)
    names = Names(info.key for info in store.list(layout.labels_prefix(category)))
    there = {key: names.find(key) for key in {label.mask_key for label in incoming if label.mask_key}}
    missing = [key for key, keys in there.items() if len(keys) != 1]
    if missing:
        raise UnusableLabels(
            f"the mask {min(missing)!r} is not in the store ({len(missing)} are missing), so no label was written. "
            f"Put masks below {layout.labels_prefix(category)}masks/ first, or leave mask_key empty."
        )
    for key in sorted({keys[0] for keys in there.values()}.difference(known)):
        try:
            decode_mask(store.read(key))
        except UnreadableImage as e:
            raise UnusableLabels(
                f"the mask {key!r} cannot be read: {e}. No label was written. Correct it, or leave mask_key empty."
            ) from e
    return [replace(label, mask_key=there[label.mask_key][0]) if label.mask_key else label for label in incoming]


def _word(label: Label) -> tuple[object, ...]:
    """The fields that identify a label: person, word and time."""
    who = identity(label.labelled_by)
    return (who, label.image_key, label.label, label.mask_key, label.labelled_at, label.kind)


def _name(file_name: str, data: bytes, reading: object) -> str:
    """The name of a file by its content and the reading, because another reading means other labels."""
    digest = hashlib.sha256(data + (repr(reading).encode() if reading else b""))
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", file_name.rpartition("/")[2].rpartition(".")[0]).strip("-_")
    return f"import-{stem[:_LONGEST_STEM]}-{digest.hexdigest()[: _DIGEST - 1]}"
