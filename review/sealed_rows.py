"""The sealed scores worth a look, in the order in which looking at them teaches most."""

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import date

import duckdb
import pyarrow as pa

from storage import layout, models
from storage.errors import CorruptObject, KeyNotFound, QueryError
from storage.queries import connect
from storage.questions import Questions
from storage.store import Store

BAND = 3.0
"""an image that is not flagged is borderline if its p-value is at most so many times the promised alarm rate"""
DEFAULT_ALPHA = 0.05
"""where no model is in force to tell the promised alarm rate"""
_LOOK_AGAIN_SECONDS = 15.0

CONTRADICTED, UNDECIDED, DECIDED = range(3)
"""standing of an image among all people: first those they disagree on, then those nobody has decided"""


@dataclass(frozen=True)
class ReviewRow:
    """What the latest sealed score says of one image; fields as in storage.scores.ScoreRow."""

    image_key: str
    etag: str
    content_digest: str
    category: str
    run_date: date
    model_version: str
    score: float
    threshold: float
    p_value: float
    is_anomalous: bool
    map_store: str
    map_index: int
    anomalous_area: float
    image_height: int
    image_width: int
    defect_boxes: list[dict[str, float]] | None


_COLUMNS = ", ".join(field.name for field in fields(ReviewRow))
_SAID = pa.schema([("image_key", pa.string()), ("mine", pa.bool_()), ("standing", pa.int8())])
_TO_LABEL = """
FROM candidates LEFT JOIN said USING (image_key)
WHERE category IN (SELECT unnest($1)) AND NOT ifnull(mine, false)
"""
# What lies nearest to the threshold is what a label moves most: far above it people agree with the model.
_ORDER = f"""
ORDER BY ifnull(standing, {UNDECIDED}), abs(score - threshold) / greatest(abs(threshold), 1e-9), image_key
"""


class SealedRows:
    """The latest sealed rows of a store. Safe to use from several threads; nights sealed meanwhile are seen."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._seen: frozenset[tuple[str, str]] | None = None
        self._looked = -_LOOK_AGAIN_SECONDS
        self._connection: Questions | None = None
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

    def unread(self) -> list[str]:
        """Why seals do not read: their images are missing from all that is known here."""
        with self._lock:
            self._refreshed()
            return list(self._unread)

    def page(
        self, categories: Sequence[str], said: Iterable[tuple[str, bool, int]], limit: int, offset: int
    ) -> tuple[list[ReviewRow], int]:
        """Rows `offset` to `offset + limit` of those the reviewer has not labelled, and how many there are in all.

        `said`: (image key, whether this reviewer has labelled it, its standing) of every image somebody labelled.
        """
        columns = list(zip(*said, strict=True)) or [()] * len(_SAID)
        table = pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, _SAID, strict=True)], schema=_SAID)
        with self._lock:
            self._refreshed().register("said", table)
            [(count,)] = self._ask(f"SELECT count(*) {_TO_LABEL}", [list(categories)])
            found = self._ask(
                f"SELECT {_COLUMNS} {_TO_LABEL} {_ORDER} LIMIT $2 OFFSET $3", [list(categories), limit, offset]
            )
        return [ReviewRow(*row) for row in found], count

    def find(self, image_key: str) -> ReviewRow:
        """The latest sealed row of an image with a score, flagged or not. KeyNotFound."""
        with self._lock:
            for view in ("candidates", "latest"):
                sql = f"SELECT {_COLUMNS} FROM {view} WHERE image_key = $1 AND status = 'ok'"
                found = self._ask(sql, [image_key])
                if found:
                    return ReviewRow(*found[0])
        raise KeyNotFound(
            f"the image {image_key!r} has no sealed score, so it can be neither shown nor labelled here. Inspect its "
            "day first."
        )

    def _ask(self, sql: str, values: list[object]) -> list[tuple]:
        connection = self._refreshed()
        try:
            return connection.rows(sql, values)
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
            self._unread = unread
            connection.keep("candidates", f"SELECT {_COLUMNS}, status FROM latest {self._where()}")
            if self._connection is not None:
                self._connection.close()
            self._connection, self._seen = connection, seals
        self._looked = now
        return self._connection

    def _where(self) -> str:
        """Flagged or borderline rows. Category names have no quotes: `layout.check_segment` holds for them."""
        cases = " ".join(
            f"WHEN '{layout.check_segment(category, 'category')}' THEN {float(alpha)}"
            for category, alpha in self._alphas().items()
        )
        alpha = f"CASE category {cases} ELSE {DEFAULT_ALPHA} END" if cases else str(DEFAULT_ALPHA)
        return f"WHERE status = 'ok' AND (is_anomalous OR p_value <= {BAND} * ({alpha}))"

    def _alphas(self) -> dict[str, float]:
        found = {}
        for category in models.list_model_categories(self._store):
            with suppress(CorruptObject, KeyNotFound, KeyError):  # of this category: the others are reviewed
                champion = models.read_champion(self._store, category)
                if champion is not None:
                    found[category] = models.read_card(self._store, category, champion.version)["threshold"]["alpha"]
        return found
