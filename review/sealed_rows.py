"""The sealed scores as lists to look at, each in its order."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import date
from typing import TypeVar

import duckdb
import pyarrow as pa

from review.selection import TO_LABEL, Selection
from storage import layout
from storage.analysis.merged_days import LATEST_FIRST
from storage.analysis.queries import connect
from storage.analysis.questions import Questions
from storage.errors import CorruptObject, KeyNotFound, QueryError
from storage.models import models
from storage.partitions.first_looks import DEFAULT_ALPHA, NEARNESS, WORTH_A_LOOK
from storage.stores.store import Store

T = TypeVar("T")
_LOOK_AGAIN_SECONDS = 15.0
_DAYS_KEPT = 3
"""days whose rows are held in memory, flagged or not: a hundred thousand rows take some 30 MB"""
_READERS = 8

CONTRADICTED, UNDECIDED, DECIDED = range(3)
"""standing of an image among all people: first those they disagree on, then those nobody has decided"""


SAID = pa.schema(
    [
        ("image_key", pa.string()),
        ("mine", pa.bool_()),
        ("standing", pa.int8()),
        ("held", pa.string()),
        ("theirs", pa.string()),
    ]
)
"""what people say of an image: whether the reviewer has labelled it; its standing; the word that holds, and the
latest word of the person that is asked for, null if there is none or it was taken back"""


@dataclass(frozen=True)
class ReviewRow:
    """What the latest sealed row says of one image; fields as in storage.partitions.scores.ScoreRow, None without
    score."""

    image_key: str
    etag: str
    content_digest: str | None
    category: str
    run_date: date
    model_version: str
    score: float | None
    threshold: float | None
    p_value: float | None
    is_anomalous: bool | None
    decision: str | None
    status: str
    error: str | None
    map_store: str | None
    map_index: int | None
    anomalous_area: float | None
    image_height: int | None
    image_width: int | None
    defect_boxes: list[dict[str, float]] | None = field(compare=False)
    """follows from the map; lists have no hash, and pictures are kept by their row"""


_COLUMNS = ", ".join(field.name for field in fields(ReviewRow))
_ALPHAS = pa.schema([("category", pa.string()), ("model_version", pa.string()), ("known_alpha", pa.float64())])
_CANDIDATES = f"""SELECT {_COLUMNS} FROM (
    SELECT latest.*, coalesce(known_alpha, {DEFAULT_ALPHA}) AS alpha
    FROM latest LEFT JOIN alphas ON latest.category = alphas.category AND latest.model_version = alphas.model_version
) WHERE {WORTH_A_LOOK}"""
# A day's rows alone: a window over all days would read them all. An image's day stands in its key.
_DAY = f"""SELECT scores.* FROM scores LEFT JOIN seals ON scores.map_store = seals.map_store
WHERE scores.run_date = DATE '%s' QUALIFY {LATEST_FIRST} = 1"""
_SHOWN = {
    TO_LABEL: "NOT ifnull(mine, false)",
    "look": "true",
    "flagged": "is_anomalous",
    "band": "decision = 'review'",
    "not-flagged": "NOT is_anomalous",
    "unreadable": "status = 'unreadable'",
    "rejected": "status = 'rejected'",
    "all": "true",
}
_OF_CANDIDATES = (TO_LABEL, "look", "flagged", "band")
"""what is worth a look; days hold the others too"""
_ORDERS = {
    "first": f"{NEARNESS} NULLS LAST, image_key",
    "highest": "score DESC NULLS LAST, image_key",
    "lowest": "score ASC NULLS LAST, image_key",
    "name": "image_key",
}


class SealedRows:
    """The latest sealed rows of a store. Safe to use from several threads; nights sealed meanwhile are seen."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._seen: frozenset[tuple[str, str]] | None = None
        self._looked = -_LOOK_AGAIN_SECONDS
        self._connection: Questions | None = None
        self._days: list[date] = []
        self._promises: dict[tuple[str, str], tuple[float, str]] = {}
        """(alarm rate, method) by category and model version"""
        self._unread: list[str] = []

    def close(self) -> None:
        """Let go of what was read; it is read anew when it is needed again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def categories(self) -> list[str]:
        """Categories with a sealed night, sorted."""
        with self._lock:
            return [row[0] for row in self._ask("SELECT DISTINCT category FROM seals ORDER BY category", [])]

    def days(self, categories: Sequence[str]) -> list[date]:
        """Days with a sealed night of one of `categories`, the latest first."""
        sql = "SELECT DISTINCT run_date FROM seals WHERE category IN (SELECT unnest($1)) ORDER BY run_date DESC"
        with self._lock:
            return [row[0] for row in self._ask(sql, [list(categories)])]

    def unread(self) -> list[str]:
        """Why seals do not read: their images are missing from all that is known here."""
        with self._lock:
            self._refreshed()
            return list(self._unread)

    def page(
        self, selection: Selection, categories: Sequence[str], said: pa.Table, limit: int, offset: int
    ) -> tuple[list[ReviewRow], int]:
        """Rows `offset` to `offset + limit` of the list, and how many it has. `said`: SAID's
        columns, of every image with a word."""
        with self._lock:
            rows, values = self._listed(selection, categories, said)
            [(count,)] = self._ask(f"SELECT count(*) {rows}", values)
            found = self._ask(
                f"SELECT {_COLUMNS} {rows} ORDER BY {_order(selection)} LIMIT {limit:d} OFFSET {offset:d}", values
            )
        return [ReviewRow(*row) for row in found], count

    def place(self, selection: Selection, categories: Sequence[str], said: pa.Table, image_key: str) -> int | None:
        """Where in the list the image stands, from 0; None if it is not in it."""
        with self._lock:
            rows, values = self._listed(selection, categories, said)
            ranked = f"SELECT image_key, row_number() OVER (ORDER BY {_order(selection)}) AS place {rows}"
            sql = f"SELECT place - 1 FROM ({ranked}) WHERE image_key = ${len(values) + 1}"
            found = self._ask(sql, [*values, image_key])
        return int(found[0][0]) if found else None

    def find(self, image_key: str) -> ReviewRow:
        """The latest sealed row of an image, whatever it says. KeyNotFound."""
        day = layout.production_day(image_key)
        with self._lock:
            candidates = self._of_key("candidates", image_key)
            if not candidates and day is not None:
                candidates = self._of_key(self._day(day), image_key)
        if candidates:
            return ReviewRow(*candidates[0])
        raise KeyNotFound(
            f"the image {image_key!r} has no sealed score, so it can be neither shown nor labelled here. Inspect its "
            "day first."
        )

    def _of_key(self, table: str, image_key: str) -> list[tuple]:
        return self._ask(f"SELECT {_COLUMNS} FROM {table} WHERE image_key = $1", [image_key])

    def _listed(self, selection: Selection, categories: Sequence[str], said: pa.Table) -> tuple[str, list[object]]:
        """FROM and WHERE of a list, and the values of its parameters."""
        self._refreshed().register("said", said)
        values: list[object] = [list(categories)]
        where = ["category IN (SELECT unnest($1))", _SHOWN[selection.show]]
        for value, condition in (
            (selection.day, "run_date = ${}"),
            # Scores are float32: what a person reads there and writes here must be the same number.
            (selection.lowest, "score >= ${}::FLOAT"),
            (selection.highest, "score <= ${}::FLOAT"),
        ):
            if value is not None:
                values.append(value)
                where.append(condition.format(len(values)))
        if selection.by is not None and not selection.label:
            where.append("theirs IS NOT NULL")
        if selection.label == "differ":
            where.append(f"standing = {CONTRADICTED}")
        elif selection.label:
            word = "held" if selection.by is None else "theirs"
            where.append(f"{word} IS NULL" if selection.label == "none" else f"{word} = '{selection.label}'")
        return f"FROM {self._source(selection)} LEFT JOIN said USING (image_key) WHERE {' AND '.join(where)}", values

    def _source(self, selection: Selection) -> str:
        """The smallest table that has all rows of the list."""
        if selection.show in _OF_CANDIDATES:
            return "candidates"
        return self._day(selection.day) if selection.day else "latest"

    def _day(self, day: date) -> str:
        """The name of the table with the day's rows, which is read if it is not there yet."""
        connection = self._refreshed()
        name = f"day_{day:%Y%m%d}"
        if day not in self._days:
            for old in self._days[_DAYS_KEPT - 1 :]:
                connection.forget(f"day_{old:%Y%m%d}")
            del self._days[_DAYS_KEPT - 1 :]
            self._carried_out(lambda: connection.keep(name, f"SELECT {_COLUMNS} FROM ({_DAY % day.isoformat()})"))
            self._days.insert(0, day)
        return name

    def _ask(self, sql: str, values: list[object]) -> list[tuple]:
        connection = self._refreshed()
        return self._carried_out(lambda: connection.rows(sql, values))

    def _carried_out(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except (duckdb.Error, OSError, RuntimeError) as e:
            self._connection = None
            raise QueryError(f"the sealed scores cannot be read: {e}. Look at the store, and try again.") from e

    def _refreshed(self) -> Questions:
        """A connection that knows today's seals; looking for new ones costs one listing every 15 seconds."""
        now = time.monotonic()
        if self._connection is not None and now - self._looked < _LOOK_AGAIN_SECONDS:
            return self._connection
        seals = frozenset((info.key, info.etag) for info in self._store.list(layout.seals_prefix()))
        if self._connection is None or seals != self._seen:
            unread: list[str] = []
            connection = connect(
                self._store,
                with_labels=False,
                unread=lambda key, e: unread.append(f"{key} does not read, so its images are missing here. {e}"),
            )
            connection.register("alphas", self._alphas(key for key, _ in seals))
            connection.keep("candidates", _CANDIDATES)
            if self._connection is not None:
                self._connection.close()
            self._connection, self._seen, self._unread, self._days = connection, seals, unread, []
        self._looked = now
        return self._connection

    def _alphas(self, seals: Iterable[str]) -> pa.Table:
        """The alarm rate that each sealed model version promised: cards never change, so each is read once."""
        versions = {(seal[0], seal[2]) for seal in map(layout.seal_partition, seals) if seal}
        new = sorted(versions - set(self._promises))
        with ThreadPoolExecutor(_READERS) as pool:
            promises = pool.map(self._promise, new)
            self._promises.update((model, one) for model, one in zip(new, promises, strict=True) if one is not None)
        known = [(*model, alpha) for model, (alpha, _) in self._promises.items()]
        columns = list(zip(*known, strict=True)) or [()] * len(_ALPHAS)
        return pa.Table.from_arrays(
            [pa.array(c, f.type) for c, f in zip(columns, _ALPHAS, strict=True)], schema=_ALPHAS
        )

    def _promise(self, version: tuple[str, str]) -> tuple[float, str] | None:
        with suppress(CorruptObject, KeyNotFound):  # of this model: the images of others are reviewed
            card = models.read_card(self._store, *version)
            return card.threshold.alpha, card.method.name
        return None

    def method_of(self, row: ReviewRow) -> str | None:
        """What made the row's model; None if its card does not read."""
        with self._lock:
            return self._promises.get((row.category, row.model_version), (0.0, None))[1]


def _order(selection: Selection) -> str:
    order = _ORDERS[selection.sort]
    if selection.show == TO_LABEL and selection.sort == "first":
        return f"ifnull(standing, {UNDECIDED}), {order}"
    return order
