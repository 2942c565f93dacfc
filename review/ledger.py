"""What people have said, kept in memory as the store has it, and new words on their way there."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa

from review.sealed_rows import CONTRADICTED, DECIDED, SAID, UNDECIDED, ReviewRow
from storage.errors import StorageError
from storage.labels import labels
from storage.labels.annotators import identity
from storage.labels.labels import Contradiction, Label
from storage.records import ObjectInfo
from storage.stores.store import Store

_LOOK_AGAIN_SECONDS = 5.0
_TABLES_KEPT = 16
"""answers of `said`, one for each reviewer and filter; a new word makes them all anew"""
_DECIDED = frozenset(labels.DECIDED)


class NotSaid(Exception):
    """A word to be taken back that this reviewer never said of the image."""


class Ledger:
    """The labels of one category. Safe to use from several threads, beside other servers on the same store."""

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

    def words(self, image_key: str) -> list[Label]:
        """Every word on the image, the latest last."""
        with self._lock:
            self._refresh()
            return list(self._of_image.get(image_key, ()))

    def all_words(self) -> list[Label]:
        """Every word on every image, the latest last."""
        with self._lock:
            self._refresh()
            return labels.in_time(label for words in self._of_image.values() for label in words)

    def contradictions(self) -> list[Contradiction]:
        """Images on which people differ."""
        with self._lock:
            self._refresh()
            # Most images have one word: only the few that have both are looked at closely.
            both = [words for words in self._of_image.values() if {label.label for label in words} >= _DECIDED]
        return labels.contradictions(labels.to_table(label for words in both for label in words))

    def unread(self) -> list[str]:
        """Why label files do not read: what they say is missing from all that is known here."""
        with self._lock:
            self._refresh()
            return [why for _, why in self._unread.values()]

    def said(self, reviewer: str, by: str | None = None) -> pa.Table:
        """Of every image with a word what `reviewer`, and a list of what `by` said, need to know: SAID's columns."""
        with self._lock:
            self._refresh()
            table = self._tables.get((reviewer, by))
            if table is None:
                if len(self._tables) >= _TABLES_KEPT:
                    self._tables.clear()
                table = self._tables[reviewer, by] = self._told(reviewer, by)
            return table

    def _told(self, reviewer: str, by: str | None) -> pa.Table:
        names = {label.labelled_by for words in self._of_image.values() for label in words}
        identities = {name: identity(name) for name in names}
        me, other = identity(reviewer), identity(by)
        undone = {key for who, key in self._undone if who == reviewer}
        columns: tuple[list, ...] = ([], [], [], [], [])
        for key, words in self._of_image.items():
            latest = {identities[label.labelled_by]: label.label for label in words}
            held, theirs = words[-1].label, latest.get(other, "withdrawn") if by else "withdrawn"
            mine = latest.get(me, "withdrawn") != "withdrawn" and key not in undone
            told = (key, mine, _standing(held, latest.values()), _standing_word(held), _standing_word(theirs))
            for column, value in zip(columns, told, strict=True):
                column.append(value)
        return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SAID, strict=True)], schema=SAID)

    def people(self) -> set[str]:
        """Everybody who said something under a name."""
        return {label.labelled_by for label in self._every_word() if label.labelled_by}

    def file_of(self, label: Label) -> str | None:
        """The key of the file that holds a word without a name; None for the words of people."""
        with self._lock:
            return self._nameless.get((label.image_key, label.labelled_at, label.label))

    def say(self, row: ReviewRow, word: str, kind: str | None, reviewer: str, purpose: str | None = None) -> Label:
        """Keep a word on an image and return its label; the same again right after changes nothing.

        Without a `purpose` the image keeps its own, so that nothing set aside to judge models by is trained on; one
        that nobody labelled is for training. A defect said again keeps the mask and, unless another is given, the
        kind that somebody told before.
        """
        with self._lock:
            words = self.words(row.image_key)
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
        """Take back the reviewer's word of that moment; see storage.labels.labels.undo. NotSaid if there is none."""
        with self._lock:
            mine = [label for label in self.words(image_key) if identity(label.labelled_by) == identity(reviewer)]
            undone = next((label for label in mine if label.labelled_at == labelled_at), None)
            if undone is None:
                raise NotSaid(
                    f"{reviewer} said nothing of {image_key!r} at {labelled_at.isoformat()}, so nothing was taken "
                    "back. Label the image anew."
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
        """Kinds of defect that people have named."""
        return {label.kind for label in self._every_word() if label.kind}

    def _every_word(self) -> list[Label]:
        with self._lock:
            self._refresh()
            return [label for words in self._of_image.values() for label in words]

    def _refresh(self) -> None:
        """Read the files that changed; looking for them costs one listing every 5 seconds."""
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
            for label in labels.in_time(label for _, found in files.values() for label in found):
                of_image[label.image_key].append(label)
            self._files, self._of_image = files, dict(of_image)
            self._nameless = {
                (label.image_key, label.labelled_at, label.label): key
                for key, (_, found) in files.items()
                for label in found
                if label.labelled_by is None
            }
        self._unread = unread
        self._looked = now

    def _read(self, info: ObjectInfo, unread: dict[str, tuple[str, str]]) -> tuple[str, list[Label]] | None:
        def tell(key: str, error: StorageError) -> None:
            unread[key] = (info.etag, f"{key} does not read, so what it says is missing here. {error}")

        for found in labels.read_each_label_file(self._store, [info], tell):
            return info.etag, found
        return None

    def _kept(self, label: Label, key: str) -> Label:
        """`label` is in the file `key` now: known at once, and the file is read at the next look."""
        self._files[key] = ("", [])
        self._of_image.setdefault(label.image_key, []).append(label)
        return label

    @contextmanager
    def _looking_again_on_failure(self) -> Iterator[None]:
        """A write that failed may have been carried out all the same: the next try must see what is there."""
        try:
            yield
        except Exception:
            self._looked = -_LOOK_AGAIN_SECONDS
            raise


def purpose_of(words: Sequence[Label]) -> str:
    """What an image with these words, the latest last, is for: as it was said last, else training."""
    return words[-1].purpose if words else labels.PURPOSES[0]


def _is_same(one: Label, other: Label) -> bool:
    if identity(one.labelled_by) != identity(other.labelled_by):
        return False
    by = other.labelled_by
    return replace(one, labelled_at=other.labelled_at, labelled_by=by, score=None) == replace(other, score=None)


def _standing_word(word: str) -> str | None:
    return None if word == "withdrawn" else word


def _standing(latest: str, words: Iterable[str]) -> int:
    """Of an image with that latest word, and these latest words of all people."""
    if _DECIDED.issubset(words):
        return CONTRADICTED
    return DECIDED if latest in labels.DECIDED else UNDECIDED
