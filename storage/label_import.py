"""Files of labels that people bring: checked against the images there are, then kept below labels/<category>/."""

import difflib
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from urllib.parse import parse_qs, unquote, urlsplit

from storage import labels, layout
from storage.errors import StorageError
from storage.images import list_images, list_run_dates
from storage.label_studio import Annotation, read_export
from storage.labels import Label
from storage.masks import mask_png
from storage.store import Store

SUFFIXES = (".json", ".csv", ".parquet")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""what Label Studio puts before the name of an uploaded file"""
_LONGEST_STEM = 60


class UnusableLabels(StorageError):
    """The file cannot be taken as labels of this category; nothing was written."""


@dataclass(frozen=True)
class Imported:
    """What was brought in."""

    words: Mapping[str, int]
    """how many labels of each word the file has"""
    new: int
    """labels that were not in the store before; the others are left as they are"""
    masks: int
    """masks in the file"""
    left_out: int
    """annotations that were cancelled or empty"""
    people: int
    key: str | None
    """the label file written; None if there was nothing new"""


class KnownImages:
    """The images of one category, and how people's tools call them."""

    def __init__(self, images: Store, category: str) -> None:
        self._prefix = layout.category_images_prefix(category)
        self._keys = {
            info.key for day in list_run_dates(images, category) for info in list_images(images, category, day)
        }
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for key in self._keys:
            self._by_name[key.rpartition("/")[2]].append(key)

    def key_of(self, called: str) -> str:
        """The key of the image that a tool calls `called`: a key, an address, or a path that ends in either.

        A bare file name will do where only one image has it. UnusableLabels with the nearest keys otherwise.
        """
        path = _path_of(called)
        segments = path.split("/")
        for start in range(len(segments)):
            rest = "/".join(segments[start:])
            for key in (rest, self._prefix + rest):
                if key in self._keys:
                    return key
        name = segments[-1]
        found = self._by_name.get(name) or self._by_name.get(_UPLOADED.sub("", name)) or []
        if len(found) == 1:
            return found[0]
        raise UnusableLabels(self._unknown(called, path, found))

    def _unknown(self, called: str, path: str, found: Sequence[str]) -> str:
        near = sorted(found)[:3] or difflib.get_close_matches(self._prefix + path, self._keys, 3, 0.4)
        why = f"could be any of {len(found)} images" if found else f"is no image below {self._prefix}"
        return (
            f"the image {called!r} {why}, so no label was written. "
            f"{'Nearest: ' + ', '.join(near) if near else 'There are none'}. Correct the name, or --category and "
            "--images."
        )


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
) -> Imported:
    """Write what a file says of a category's images, and its masks; again changes nothing.

    `file_name` ends in one of SUFFIXES: Label Studio's JSON export, or a table as `storage.labels` reads it, in which
    a label without a time counts as made `now`. `purpose` is that of labels whose file names none; without it an
    image keeps the purpose it has, and a new one is for training. UnusableLabels and StorageError name what is wrong;
    then no label was written.
    """
    suffix = file_name[file_name.rfind(".") :].lower() if "." in file_name else ""
    if suffix not in SUFFIXES:
        raise UnusableLabels(
            f"{file_name}: the kind of file is not known, so nothing was read. Use {', '.join(SUFFIXES)}."
        )
    known = KnownImages(images, category)
    history = labels.to_labels(labels.read_label_history(store, category))
    purposes = {label.image_key: label.purpose for label in history}

    def purpose_of(key: str) -> str:
        return purpose or purposes.get(key, "training")

    masks: dict[str, bytes] = {}
    left_out = 0
    if suffix == ".json":
        export = read_export(data, known.key_of, choices)
        left_out = export.cancelled + export.empty
        found = [_label(one, category, purpose_of(one.image_key), masks) for one in export.annotations]
    else:
        found = _table_labels(data, file_name, now, known, purpose_of)
        _refuse_missing_masks(store, category, found)
    key = layout.labels_key(category, f"{_name(file_name, data)}.parquet")
    said = {_word(label) for label in history}
    new = [] if store.info(key) else [label for label in found if _word(label) not in said]
    if new:
        for mask_key, png in masks.items():
            store.write(mask_key, png)
        labels.write_labels(store, category, new, _name(file_name, data))
    people = len({label.labelled_by for label in found})
    words = Counter(label.label for label in found)
    return Imported(words, len(new), len(masks), left_out, people, key if new else None)


def _label(one: Annotation, category: str, purpose: str, masks: dict[str, bytes]) -> Label:
    mask_key = None
    if one.mask is not None:
        png = mask_png(one.mask)
        day, name = one.image_key.removeprefix(layout.category_images_prefix(category)).split("/", 1)
        # Named by its content: several people's masks of an image stand side by side, and none is replaced.
        digest = hashlib.sha256(png).hexdigest()[:12]
        mask_key = layout.mask_key(category, date.fromisoformat(day), f"{name}.{digest}.png")
        masks[mask_key] = png
    return Label(one.image_key, one.word, mask_key, one.annotator, one.time, one.kind, purpose)


def _table_labels(
    data: bytes, file_name: str, now: datetime, known: KnownImages, purpose_of: Callable[[str], str]
) -> list[Label]:
    try:
        found = labels.labels_of_bytes(data, file_name, now, lambda called: purpose_of(known.key_of(called)))
    except UnusableLabels:
        raise
    except StorageError as e:
        raise UnusableLabels(str(e)) from e
    return [replace(label, image_key=known.key_of(label.image_key)) for label in found]


def _refuse_missing_masks(store: Store, category: str, found: Sequence[Label]) -> None:
    wanted = {label.mask_key for label in found if label.mask_key}
    missing = wanted - {info.key for info in store.list(layout.labels_prefix(category))} if wanted else set()
    if missing:
        raise UnusableLabels(
            f"the mask {min(missing)!r} is not in the store ({len(missing)} are missing), so no label was written. "
            f"Put masks below {layout.labels_prefix(category)}masks/ first, or leave mask_key empty."
        )


def _word(label: Label) -> tuple[object, ...]:
    """What makes two labels the same: the same person's same word of the same moment."""
    return (label.image_key, label.label, label.mask_key, label.labelled_by, label.labelled_at, label.kind)


def _name(file_name: str, data: bytes) -> str:
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", file_name.rpartition("/")[2].rpartition(".")[0]).strip("-_")
    return f"import-{stem[:_LONGEST_STEM]}-{hashlib.sha256(data).hexdigest()[:8]}"


def _path_of(called: str) -> str:
    """The path in what a tool calls an image: without scheme, host, bucket and query."""
    called = called.strip()
    if "/local-files/?" in called:
        return parse_qs(urlsplit(called).query).get("d", [called])[0].lstrip("/")
    scheme, found, rest = called.partition("://")
    if found and scheme.startswith("http"):
        return unquote(urlsplit(called).path).lstrip("/")
    if found:
        return rest.partition("/")[2]  # of a bucket any character may stand in a key: nothing is decoded
    return called.lstrip("/")
