"""The labels of a category in memory, read from the store and written to it."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa

from review.sealed_rows import CONTRADICTED, DECIDED, LABEL_STATES, UNDECIDED, ReviewRow
from storage.errors import StorageError
from storage.labels import labels
from storage.labels.annotators import identity
from storage.labels.labels import Contradiction, Label
from storage.records import ObjectInfo
from storage.stores.store import Store

_LOOK_AGAIN_SECONDS = 5.0
_TABLES_KEPT = 16
"""tables of `states`, one for each reviewer and filter; a new label drops them all"""
_DECIDED = frozenset(labels.DECIDED)


class NoSuchLabel(Exception):
    """A label to take back that this reviewer never gave."""


class Ledger:
    """The labels of one category. Thread-safe; other servers may write to the same store."""

    def __init__(
        self, store: Store, category: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store, self._category, self._clock = store, category, clock
        self._lock = threading.RLock()
        self._files: dict[str, tuple[str, list[Label]]] = {}
        self._unread: dict[str, tuple[str, str]] = {}
        self._of_image: dict[str, list[Label]] = {}
        self._nameless: dict[tuple[str, datetime, str], str] = {}
        self._tables: dict[tuple[str, str | None], pa.Table] = {}
        self._looked = -_LOOK_AGAIN_SECONDS
        self._undone: set[tuple[str, str]] = set()
        self._taken_back: dict[tuple[str, str, datetime], Label] = {}

    def labels_of(self, image_key: str) -> list[Label]:
        """All labels of the image, latest last."""
        with self._lock:
            self._refresh()
            return list(self._of_image.get(image_key, ()))

    def all_labels(self) -> list[Label]:
        """All labels of all images, latest last."""
        with self._lock:
            self._refresh()
            return labels.in_time(label for words in self._of_image.values() for label in words)

    def contradictions(self) -> list[Contradiction]:
        """Images with labels that disagree."""
        with self._lock:
            self._refresh()
            # Most images have one label: only the few with both need the full comparison.
            both = [words for words in self._of_image.values() if {label.label for label in words} >= _DECIDED]
        return labels.contradictions(labels.to_table(label for words in both for label in words))

    def unread(self) -> list[str]:
        """Why label files cannot be read; their labels are missing here."""
        with self._lock:
            self._refresh()
            return [why for _, why in self._unread.values()]

    def states(self, reviewer: str, by: str | None = None) -> pa.Table:
        """LABEL_STATES of every labelled image, for `reviewer` and the labels of `by`."""
        with self._lock:
            self._refresh()
            table = self._tables.get((reviewer, by))
            if table is None:
                if len(self._tables) >= _TABLES_KEPT:
                    self._tables.clear()
                table = self._tables[reviewer, by] = self._states(reviewer, by)
            return table

    def _states(self, reviewer: str, by: str | None) -> pa.Table:
        names = {label.labelled_by for words in self._of_image.values() for label in words}
        identities = {name: identity(name) for name in names}
        me, other = identity(reviewer), identity(by)
        undone = {key for who, key in self._undone if who == reviewer}
        columns: tuple[list, ...] = ([], [], [], [], [])
        for key, words in self._of_image.items():
            latest = {identities[label.labelled_by]: label.label for label in words}
            held, theirs = words[-1].label, latest.get(other, "withdrawn") if by else "withdrawn"
            mine = latest.get(me, "withdrawn") != "withdrawn" and key not in undone
            row = (key, mine, _standing(held, latest.values()), _standing_word(held), _standing_word(theirs))
            for column, value in zip(columns, row, strict=True):
                column.append(value)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, LABEL_STATES, strict=True)]
        return pa.Table.from_arrays(arrays, schema=LABEL_STATES)

    def people(self) -> set[str]:
        """The names of all who labelled something."""
        return {label.labelled_by for label in self._every_word() if label.labelled_by}

    def file_of(self, label: Label) -> str | None:
        """The key of the file with a label without a name; None for labels of people."""
        with self._lock:
            return self._nameless.get((label.image_key, label.labelled_at, label.label))

    def add_label(
        self, row: ReviewRow, word: str, kind: str | None, reviewer: str, purpose: str | None = None
    ) -> Label:
        """Write a label to the store and return it; a repetition changes nothing.

        Without a `purpose` the image keeps its own, so that images set aside for evaluation are not trained on; an
        unlabelled image is for training. A repeated defect keeps its mask and, unless another is given, its kind.
        """
        with self._lock:
            words = self.labels_of(row.image_key)
            before = words[-1] if words else None
            defect = next((label for label in reversed(words) if label.label == "anomalous"), None)
            keep = defect if word == "anomalous" else None
            label = Label(
                image_key=row.image_key,
                label=word,
                mask_key=keep.mask_key if keep else None,
                labelled_by=reviewer,
                labelled_at=labels.moment_after(words, self._clock()),
                kind=(kind or (keep.kind if keep else None)) if word == "anomalous" else None,
                purpose=purpose or purpose_of(words),
                model_version=row.model_version,
                score=row.score,
            )
            if before is None or not _is_same(before, label) or (reviewer, row.image_key) in self._undone:
                with self._looking_again_on_failure():
                    key = labels.append_label(self._store, self._category, label, reviewer=reviewer)
                before = self._kept(label, key)
            self._undone.discard((reviewer, row.image_key))
            self._tables.clear()
            return before

    def undo(self, image_key: str, labelled_at: datetime, reviewer: str) -> Label:
        """Take back the reviewer's label of that time; see storage.labels.labels.undo. Raises NoSuchLabel."""
        with self._lock:
            mine = [label for label in self.labels_of(image_key) if identity(label.labelled_by) == identity(reviewer)]
            undone = next((label for label in mine if label.labelled_at == labelled_at), None)
            if undone is None:
                raise NoSuchLabel(
                    f"{reviewer} did not label {image_key!r} at {labelled_at.isoformat()}, so nothing was taken "
                    "back. Label the image again."
                )
            known = self._taken_back.get((reviewer, image_key, labelled_at))
            if known is not None:
                return known  # the answer to the first try was lost
            with self._looking_again_on_failure():
                back = labels.undo(self._store, self._category, undone, reviewer=reviewer, now=self._clock())
            self._looked = -_LOOK_AGAIN_SECONDS
            self._taken_back[reviewer, image_key, labelled_at] = back
            self._undone.add((reviewer, image_key))
            self._tables.clear()
            return back

    def kinds(self) -> set[str]:
        """The kinds of defect in the labels."""
        return {label.kind for label in self._every_word() if label.kind}

    def _every_word(self) -> list[Label]:
        with self._lock:
            self._refresh()
            return [label for words in self._of_image.values() for label in words]

    def _refresh(self) -> None:
        """Read changed label files, at the cost of one listing every 5 seconds."""
        now = time.monotonic()
        if now - self._looked < _LOOK_AGAIN_SECONDS:
            return
        files, unread = {}, {}
        for info in labels.label_files(self._store, self._category):
            known, why = self._files.get(info.key), self._unread.get(info.key)
            if why is not None and why[0] == info.etag:
                unread[info.key] = why
                continue
            if known is None or known[0] != info.etag:
                known = self._read(info, unread)
            if known is not None:
                files[info.key] = known
        if files != self._files:
            self._tables.clear()
            of_image = defaultdict(list)
            for label in labels.in_time(label for _, read in files.values() for label in read):
                of_image[label.image_key].append(label)
            self._files, self._of_image = files, dict(of_image)
            self._nameless = {
                (label.image_key, label.labelled_at, label.label): key
                for key, (_, read) in files.items()
                for label in read
                if label.labelled_by is None
            }
        self._unread = unread
        self._looked = now

    def _read(self, info: ObjectInfo, unread: dict[str, tuple[str, str]]) -> tuple[str, list[Label]] | None:
        def tell(key: str, error: StorageError) -> None:
            unread[key] = (info.etag, f"{key} cannot be read, so its labels are missing here. {error}")

        for read in labels.read_each_label_file(self._store, [info], tell):
            return info.etag, read
        return None

    def _kept(self, label: Label, key: str) -> Label:
        """Remember a label just written to the file `key`, which the next refresh reads."""
        self._files[key] = ("", [])
        self._of_image.setdefault(label.image_key, []).append(label)
        return label

    @contextmanager
    def _looking_again_on_failure(self) -> Iterator[None]:
        """After a failed write read the store anew: the write may have succeeded all the same."""
        try:
            yield
        except Exception:
            self._looked = -_LOOK_AGAIN_SECONDS
            raise


def purpose_of(words: Sequence[Label]) -> str:
    """The purpose of an image with these labels, latest last; training without one."""
    return words[-1].purpose if words else labels.PURPOSES[0]


def _is_same(label: Label, other: Label) -> bool:
    if identity(label.labelled_by) != identity(other.labelled_by):
        return False
    by = other.labelled_by
    return replace(label, labelled_at=other.labelled_at, labelled_by=by, score=None) == replace(other, score=None)


def _standing_word(word: str) -> str | None:
    return None if word == "withdrawn" else word


def _standing(latest: str, words: Iterable[str]) -> int:
    """Standing of an image with this latest label and these latest labels of all people."""
    if _DECIDED.issubset(words):
        return CONTRADICTED
    return DECIDED if latest in labels.DECIDED else UNDECIDED
