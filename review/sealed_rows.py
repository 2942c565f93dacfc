"""The sealed scores as sorted, filtered lists."""

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
from storage.analysis.merged_days import LATEST_FIRST, OF_ITS_PLAN
from storage.analysis.queries import connect
from storage.analysis.questions import Questions
from storage.errors import CorruptObject, KeyNotFound, QueryError
from storage.models import models
from storage.partitions.first_looks import DEFAULT_ALPHA, NEARNESS, WORTH_A_LOOK
from storage.stores.store import Store

T = TypeVar("T")
_LOOK_AGAIN_SECONDS = 15.0
_DAYS_KEPT = 3
"""days whose rows are held in memory; 100 000 rows take some 30 MB"""
_READERS = 8

CONTRADICTED, UNDECIDED, DECIDED = range(3)
"""standing of an image, in the order of review: labels disagree, nobody has decided, decided"""


LABEL_STATES = pa.schema(
    [
        ("image_key", pa.string()),
        ("mine", pa.bool_()),
        ("standing", pa.int8()),
        ("held", pa.string()),
        ("theirs", pa.string()),
    ]
)
"""an image's labels: whether the reviewer labelled it; its standing; the label in force; the latest label of the
chosen person, null without one or if it was taken back"""


@dataclass(frozen=True)
class ReviewRow:
    """The latest sealed row of one image; fields as in storage.partitions.scores.ScoreRow, None without a score."""

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
    offset_x: float | None
    offset_y: float | None
    rotation: float | None
    defect_boxes: list[dict[str, float]] | None = field(compare=False)
    """not compared: lists have no hash, and pictures are cached by row"""


_COLUMNS = ", ".join(field.name for field in fields(ReviewRow))
_ALPHAS = pa.schema([("category", pa.string()), ("model_version", pa.string()), ("known_alpha", pa.float64())])
_CANDIDATES = f"""SELECT {_COLUMNS} FROM (
    SELECT latest.*, coalesce(known_alpha, {DEFAULT_ALPHA}) AS alpha
    FROM latest LEFT JOIN alphas ON latest.category = alphas.category AND latest.model_version = alphas.model_version
) WHERE {WORTH_A_LOOK}"""
# Rows of one day: a window over all days would read them all. An image's key has its day.
_DAY = f"""SELECT scores.* FROM scores LEFT JOIN seals {OF_ITS_PLAN}
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
"""lists within the candidates; days have the other rows too"""
_ORDERS = {
    "first": f"{NEARNESS} NULLS LAST, image_key",
    "highest": "score DESC NULLS LAST, image_key",
    "lowest": "score ASC NULLS LAST, image_key",
    "name": "image_key",
}


class SealedRows:
    """The latest sealed rows of a store. Thread-safe; notices new seals."""

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
        """Close the connection; the next question opens a new one."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def categories(self) -> list[str]:
        """Categories with a complete day, sorted."""
        with self._lock:
            return [row[0] for row in self._ask("SELECT DISTINCT category FROM seals ORDER BY category", [])]

    def days(self, categories: Sequence[str]) -> list[date]:
        """Complete days of one of `categories`, latest first."""
        sql = "SELECT DISTINCT run_date FROM seals WHERE category IN (SELECT unnest($1)) ORDER BY run_date DESC"
        with self._lock:
            return [row[0] for row in self._ask(sql, [list(categories)])]

    def unread(self) -> list[str]:
        """Why seals cannot be read; their images are missing here."""
        with self._lock:
            self._refreshed()
            return list(self._unread)

    def page(
        self, selection: Selection, categories: Sequence[str], states: pa.Table, limit: int, offset: int
    ) -> tuple[list[ReviewRow], int]:
        """Rows `offset` to `offset + limit` of a list, and its length. `states`: LABEL_STATES of labelled images."""
        with self._lock:
            clause, values = self._listed(selection, categories, states)
            [(count,)] = self._ask(f"SELECT count(*) {clause}", values)
            rows = self._ask(
                f"SELECT {_COLUMNS} {clause} ORDER BY {_order(selection)} LIMIT {limit:d} OFFSET {offset:d}", values
            )
        return [ReviewRow(*row) for row in rows], count

    def place(self, selection: Selection, categories: Sequence[str], states: pa.Table, image_key: str) -> int | None:
        """The image's index in the list, from 0; None if it is not in it."""
        with self._lock:
            rows, values = self._listed(selection, categories, states)
            ranked = f"SELECT image_key, row_number() OVER (ORDER BY {_order(selection)}) AS place {rows}"
            sql = f"SELECT place - 1 FROM ({ranked}) WHERE image_key = ${len(values) + 1}"
            places = self._ask(sql, [*values, image_key])
        return int(places[0][0]) if places else None

    def find(self, image_key: str) -> ReviewRow:
        """The latest sealed row of an image. Raises KeyNotFound."""
        day = layout.production_day(image_key)
        with self._lock:
            candidates = self._of_key("candidates", image_key)
            if not candidates and day is not None:
                candidates = self._of_key(self._day(day), image_key)
        if candidates:
            return ReviewRow(*candidates[0])
        raise KeyNotFound(
            f"the image {image_key!r} is not of a complete day, so it can be neither shown nor labelled here. "
            "Inspect its day first."
        )

    def _of_key(self, table: str, image_key: str) -> list[tuple]:
        return self._ask(f"SELECT {_COLUMNS} FROM {table} WHERE image_key = $1", [image_key])

    def _listed(self, selection: Selection, categories: Sequence[str], states: pa.Table) -> tuple[str, list[object]]:
        """FROM and WHERE of a list, and the values of its parameters."""
        self._refreshed().register("label_states", states)
        values: list[object] = [list(categories)]
        where = ["category IN (SELECT unnest($1))", _SHOWN[selection.show]]
        for value, condition in (
            (selection.day, "run_date = ${}"),
            # Scores are float32: a score read on the page and entered here must be the same number.
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
        table = f"{self._source(selection)} LEFT JOIN label_states USING (image_key)"
        return f"FROM {table} WHERE {' AND '.join(where)}", values

    def _source(self, selection: Selection) -> str:
        """The smallest table that has all rows of the list."""
        if selection.show in _OF_CANDIDATES:
            return "candidates"
        return self._day(selection.day) if selection.day else "latest"

    def _day(self, day: date) -> str:
        """The name of the table with the day's rows, read on first use."""
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
            raise QueryError(f"the scores cannot be read: {e}. Check the store and try again.") from e

    def _refreshed(self) -> Questions:
        """A connection that knows all seals, at the cost of one listing every 15 seconds."""
        now = time.monotonic()
        if self._connection is not None and now - self._looked < _LOOK_AGAIN_SECONDS:
            return self._connection
        seals = frozenset((info.key, info.etag) for info in self._store.list(layout.seals_prefix()))
        if self._connection is None or seals != self._seen:
            unread: list[str] = []
            connection = connect(
                self._store,
                with_labels=False,
                unread=lambda key, e: unread.append(f"{key} cannot be read, so its images are missing here. {e}"),
            )
            connection.register("alphas", self._alphas(key for key, _ in seals))
            connection.keep("candidates", _CANDIDATES)
            if self._connection is not None:
                self._connection.close()
            self._connection, self._seen, self._unread, self._days = connection, seals, unread, []
        self._looked = now
        return self._connection

    def _alphas(self, seals: Iterable[str]) -> pa.Table:
        """The promised false-alarm rate of each sealed model version; each immutable card is read once."""
        versions = {(seal[0], seal[2]) for seal in map(layout.seal_partition, seals) if seal}
        new = sorted(versions - set(self._promises))
        with ThreadPoolExecutor(_READERS) as pool:
            promises = pool.map(self._promise, new)
            self._promises.update((model, promise) for model, promise in zip(new, promises, strict=True) if promise)
        known = [(*model, alpha) for model, (alpha, _) in self._promises.items()]
        columns = list(zip(*known, strict=True)) or [()] * len(_ALPHAS)
        return pa.Table.from_arrays(
            [pa.array(c, f.type) for c, f in zip(columns, _ALPHAS, strict=True)], schema=_ALPHAS
        )

    def _promise(self, version: tuple[str, str]) -> tuple[float, str] | None:
        with suppress(CorruptObject, KeyNotFound):  # the images of other models can still be reviewed
            card = models.read_card(self._store, *version)
            return card.threshold.alpha, card.method.name
        return None

    def method_of(self, row: ReviewRow) -> str | None:
        """The method of the row's model; None if its card cannot be read."""
        with self._lock:
            return self._promises.get((row.category, row.model_version), (0.0, None))[1]


def _order(selection: Selection) -> str:
    order = _ORDERS[selection.sort]
    if selection.show == TO_LABEL and selection.sort == "first":
        return f"ifnull(standing, {UNDECIDED}), {order}"
    return order
