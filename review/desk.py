"""The review page's data and actions as plain values, without HTTP."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from threading import Lock
from typing import Any

import pyarrow as pa

from reports import number_format
from reports.plain_text import shown
from review.ledger import Ledger, NoSuchLabel, purpose_of
from review.pictures import ImageChanged, Pictures
from review.plain_words import in_plain_words
from review.regions import Regions
from review.sealed_rows import LABEL_STATES, ReviewRow, SealedRows
from review.selection import Selection
from storage.errors import KeyNotFound
from storage.labels.annotators import identity
from storage.labels.labels import PURPOSES, Contradiction, Label
from storage.stores.store import Store

WORDS = ("normal", "anomalous", "unsure")
LONGEST_NAME, LONGEST_KIND = 80, 60
MOST_ROWS = 100


class WrongRequest(Exception):
    """A request that the review page never sends; nothing was done."""


@dataclass(frozen=True)
class HistoryRow:
    """A label and its category."""

    category: str
    label: Label
    file: str | None
    """key of the label's file, if no person is named"""


class Desk:
    """Queue, labels and pictures of one store. Safe to use from several threads."""

    def __init__(
        self,
        store: Store,
        images: Store,
        categories: Sequence[str] | None = None,
        *,
        zone: tzinfo = UTC,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`zone`: time zone of the labels' times on the page."""
        self._store, self._only, self.zone, self._clock = store, categories, zone, clock
        self._sealed = SealedRows(store)
        self._ledgers: dict[str, Ledger] = {}
        self._lock = Lock()
        self.pictures = Pictures(store, images)
        self.regions = Regions(store, images, categories, clock=clock)

    def close(self) -> None:
        """Close the connection to the scores."""
        self._sealed.close()

    def categories(self) -> list[str]:
        """The reviewed categories, sorted."""
        return sorted(self._only) if self._only else self._sealed.categories()

    def days(self, category: str | None) -> list[date]:
        """Complete days, latest first."""
        return self._sealed.days(self._chosen(category))

    def people(self, category: str | None) -> list[str]:
        """The names of all who labelled something, sorted."""
        return sorted(
            set[str]().union(*(self._ledger(name).people() for name in self._chosen(category))), key=str.casefold
        )

    def page(
        self, selection: Selection, reviewer: str, limit: int, offset: int, *, at: str | None = None
    ) -> dict[str, Any]:
        """Images `offset` to `offset + limit` of a list: {"rows": [...], "count": length of the list, "offset": index
        of the first row, "shrinks": whether a label may remove an image, "kinds": [...], "unread": [why a label file
        or a seal cannot be read]}.

        `at`: key of an image to begin shortly before, if the list has it.
        """
        chosen, limit = self._chosen(selection.category), max(1, min(limit, MOST_ROWS))
        states = pa.concat_tables(
            [LABEL_STATES.empty_table(), *(self._ledger(name).states(reviewer, selection.by) for name in chosen)]
        )
        place = None if at is None else self._sealed.place(selection, chosen, states, at)
        offset = max(0, offset if place is None else place - limit // 2)
        rows, count = self._sealed.page(selection, chosen, states, limit, offset)
        kinds = sorted(set[str]().union(*(self._ledger(name).kinds() for name in chosen)))
        return {
            "rows": [self._record(row, reviewer) for row in rows],
            "count": count,
            "offset": offset,
            "shrinks": selection.shrinks,
            "kinds": kinds,
            "unread": self.unread(selection.category),
        }

    def image(self, image_key: str, reviewer: str) -> dict[str, Any]:
        """One scored image, flagged or not. Raises KeyNotFound."""
        return self._record(self.row(image_key), reviewer)

    def row(self, image_key: str) -> ReviewRow:
        """An image's latest sealed score. Raises KeyNotFound, also for a category that is not reviewed here."""
        row = self._sealed.find(image_key)
        if self._only and row.category not in self._only:
            raise KeyNotFound(f"the image {image_key!r} is of {row.category!r}, which is not reviewed here.")
        return row

    def nearest(self, image_key: str) -> dict[str, Any] | None:
        """The normal image to show beside an image; None if there is none."""
        normal = self.pictures.nearest(self.row(image_key))
        return None if normal is None else {"name": shown(normal.image_key), "distance": f"{normal.distance:.1f}"}

    def add_label(self, sent: dict[str, Any], reviewer: str) -> dict[str, Any]:
        """Write a label to the store. Raises ImageChanged, WrongRequest, KeyNotFound."""
        row = self.row(_text(sent, "key", 4096))
        word, kind = _text(sent, "word", 20), _text(sent, "kind", LONGEST_KIND, optional=True)
        purpose = _text(sent, "purpose", 20, optional=True)
        for value, known in ((word, WORDS), (purpose or PURPOSES[0], PURPOSES)):
            if value not in known:
                raise WrongRequest(f"{value!r} is unknown, so no label was kept. Use {' or '.join(known)}.")
        if row.status != "ok":
            raise WrongRequest(
                f"the image {row.image_key!r} has no score ({shown(row.error or row.status)}), so the label was not "
                "kept. Replace the file with a whole one and inspect the day again."
            )
        if _text(sent, "etag", 1024) != row.etag or not self.pictures.is_unchanged(row):
            raise ImageChanged(
                f"the image {row.image_key!r} has changed since this page showed it, so the label was not kept. "
                "Reload the page; if this message returns, inspect the day again."
            )
        label = self._ledger(row.category).add_label(row, word, kind, reviewer, purpose)
        answer = {"word": label.label, "kind": label.kind, "purpose": label.purpose}
        return {"labelled_at": label.labelled_at.isoformat(), **answer, "row": self._record(row, reviewer)}

    def undo(self, sent: dict[str, Any], reviewer: str) -> dict[str, Any]:
        """Take back the reviewer's label of that time. Raises WrongRequest, KeyNotFound."""
        row = self.row(_text(sent, "key", 4096))
        try:
            labelled_at = datetime.fromisoformat(_text(sent, "labelled_at", 40) or "")
        except ValueError as e:
            raise WrongRequest("labelled_at is no time, so nothing was taken back.") from e
        if labelled_at.tzinfo is None:
            raise WrongRequest("labelled_at has no time zone, so nothing was taken back.")
        try:
            back = self._ledger(row.category).undo(row.image_key, labelled_at, reviewer)
        except NoSuchLabel as e:
            raise WrongRequest(str(e)) from e
        return {"word": back.label, "row": self._record(row, reviewer)}

    def history(self, category: str | None, limit: int, offset: int) -> tuple[list[HistoryRow], int]:
        """Labels `offset` to `offset + limit` of all, newest first, and their number."""
        every = [
            (category, label) for category in self._chosen(category) for label in self._ledger(category).all_labels()
        ]
        newest = heapq.nlargest(offset + limit, every, key=lambda pair: pair[1].labelled_at)
        rows = [HistoryRow(name, label, self._ledger(name).file_of(label)) for name, label in newest[offset:]]
        return rows, len(every)

    def contradictions(self, category: str | None) -> list[Contradiction]:
        """Images with labels that disagree."""
        return [
            contradiction
            for category in self._chosen(category)
            for contradiction in self._ledger(category).contradictions()
        ]

    def unread(self, category: str | None) -> list[str]:
        """Why seals and label files cannot be read."""
        reasons = [why for category in self._chosen(category) for why in self._ledger(category).unread()]
        return [shown(why) for why in (*self._sealed.unread(), *reasons)]

    def _chosen(self, category: str | None) -> list[str]:
        known = self.categories()
        if category and category not in known:
            raise KeyNotFound(f"the category {category!r} is not reviewed here. There are: {', '.join(known)}.")
        return [category] if category else known

    def _ledger(self, category: str) -> Ledger:
        with self._lock:
            if category not in self._ledgers:
                self._ledgers[category] = Ledger(self._store, category, clock=self._clock)
            return self._ledgers[category]

    def _record(self, row: ReviewRow, reviewer: str) -> dict[str, Any]:
        """A row as the page shows it, with formatted figures."""
        ledger = self._ledger(row.category)
        words = ledger.labels_of(row.image_key)
        mine = [label.label for label in words if identity(label.labelled_by) == identity(reviewer)]
        held = words[-1].label if words else "withdrawn"
        return {
            "key": row.image_key,
            "name": shown(row.image_key),
            "short_name": shown(row.image_key.split("/", 3)[-1]),
            "etag": row.etag,
            "category": row.category,
            "day": row.run_date.isoformat(),
            "model": row.model_version,
            "method": self._sealed.method_of(row),
            "score": number_format.score(row.score),
            "threshold": number_format.score(row.threshold),
            "p_value": number_format.p_value(row.p_value),
            "area": number_format.percent(row.anomalous_area),
            "state": _state(row),
            "flagged": bool(row.is_anomalous),
            "error": shown(row.error) if row.error else None,
            "width": row.image_width,
            "height": row.image_height,
            "mine": mine[-1] if mine and mine[-1] != "withdrawn" else None,
            "held": None if held == "withdrawn" else held,
            "purpose": purpose_of(words),
            "words": [self._in_plain_words(ledger, label) for label in reversed(words)],
        }

    def _in_plain_words(self, ledger: Ledger, label: Label) -> str:
        return in_plain_words(label, file=ledger.file_of(label), now=self._clock(), zone=self.zone)


def _state(row: ReviewRow) -> str:
    """The image's state in words: status, or the decision."""
    if row.status != "ok":
        return row.status
    flagged = "flagged" if row.is_anomalous else "not flagged"
    return f"{flagged}, review band" if row.decision == "review" else flagged


def reviewer_name(text: str) -> str:
    """A person's name with single spaces. Raises WrongRequest."""
    name = " ".join(text.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise WrongRequest(f"a reviewer's name has 1 to {LONGEST_NAME} printable characters.")
    return name


def _text(sent: dict[str, Any], name: str, longest: int, *, optional: bool = False) -> str | Any:
    value = sent.get(name)
    if optional and (value is None or value == ""):
        return None
    if not isinstance(value, str) or len(value) > longest or not value.strip() or "\0" in value:
        raise WrongRequest(f"{name} is not a text of 1 to {longest} characters, so nothing was done.")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise WrongRequest(f"{name} has half of a surrogate pair, so nothing was done.")
    return value.strip() if name == "kind" else value
