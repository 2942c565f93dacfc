"""SQL over the sealed scores, with DuckDB."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import FSSpecHandler, LocalFileSystem, PyFileSystem

from storage.analysis.merged_days import LATEST_FIRST, OF_ITS_PLAN, read_merged_days
from storage.analysis.questions import Questions
from storage.errors import QueryError
from storage.labels import labels
from storage.labels.annotators import spellings
from storage.partitions import scores, seal_rows, seals
from storage.stores.store import Store

_LABELS = pa.schema([pa.field("category", pa.string()), *labels.SCHEMA])
_COLUMNS = ", ".join(f"scores.{name}" for name in scores.SCHEMA.names)
_LATEST = f"""SELECT {_COLUMNS} FROM unmerged AS scores LEFT JOIN seals {OF_ITS_PLAN}
QUALIFY {LATEST_FIRST} = 1"""
_MAY_NEED_LABELS = ("label", "query", "show", "duckdb_", "information_schema", "pragma")


def connect(store: Store, *, with_labels: bool = True, unread: labels.Unread | None = None) -> Questions:
    """An in-memory DuckDB with these views of the sealed scores:

    `scores`: every row of every sealed part; `latest`: each image's latest sealed row; `labels`: each image's label,
    with its category; `seals`: one row for each sealed plan. Times are in UTC.

    Queries read only the columns and rows they need: from the copies of merged days (see
    storage.analysis.merged_days), else from the parts. The connection reaches no other file and writes nothing (see
    storage.analysis.questions). `unread` is called for unreadable label files and seals, whose rows are then missing;
    without it they raise.
    """
    merged = read_merged_days(store)
    days = [None] if merged is None else merged.others
    sealed = [seal for day in days for seal in seals.list_seals(store, run_date=day, unread=unread)]
    plans = seal_rows.to_table(sealed)
    spoken = _all_labels(store, unread) if with_labels else None

    def prepare(connection: duckdb.DuckDBPyConnection) -> None:
        connection.register("seals", plans if merged is None else pa.concat_tables([merged.plans, plans]))
        connection.register("unmerged", _rows_of_parts(store, sealed))
        if spoken is not None:
            connection.register("labels", spoken)
        connection.execute("SET TimeZone = 'UTC'")
        latest, superseded = (merged.latest, merged.superseded) if merged else ([], [])
        copies = [
            *_copies(connection, store, "latest", latest),
            *_copies(connection, store, "superseded", superseded),
        ]
        _create_view(connection, "scores", [*copies, f"SELECT {_COLUMNS} FROM unmerged AS scores"])
        _create_view(connection, "latest", [*copies[: bool(latest)], _LATEST] if sealed or not latest else copies[:1])

    return Questions(prepare)


def run_query(store: Store, sql: str, *, unread: labels.Unread | None = None) -> pa.Table:
    """The result of a SELECT over the views of `connect`, as of `Questions.table`. Raises QueryError with DuckDB's
    message.

    `unread` as for `connect`.
    """
    with connect(store, with_labels=_may_need_labels(sql), unread=unread) as questions, _refusals_in_words(sql):
        return questions.table(sql)


@contextmanager
def query_batches(
    store: Store, sql: str, rows: int, *, unread: labels.Unread | None = None
) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """The result of `run_query` in batches of at most so many rows. Raises QueryError, also during the reading."""
    with connect(store, with_labels=_may_need_labels(sql), unread=unread) as questions:
        with _refusals_in_words(sql):
            schema, batches = questions.batches(sql, rows)
        yield schema, _with_refusals_in_words(sql, batches)


def _may_need_labels(sql: str) -> bool:
    return any(word in sql.lower() for word in _MAY_NEED_LABELS)


def _with_refusals_in_words(sql: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while True:
        with _refusals_in_words(sql):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


@contextmanager
def _refusals_in_words(sql: str) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, RuntimeError, OSError) as e:
        raise QueryError(
            f"DuckDB refuses {sql!r}: {_ended(str(e))}The views are scores, latest, labels and seals; "
            "DESCRIBE scores shows a view's columns."
        ) from e


def _ended(message: str) -> str:
    """The message, ready for another sentence to follow. Its last line may point at a place in the statement."""
    if "\n" in message:
        return f"{message}\n"
    return f"{message} " if message.endswith((".", "?", "!")) else f"{message}. "


def _create_view(connection: duckdb.DuckDBPyConnection, name: str, sources: Sequence[str]) -> None:
    connection.execute(f"CREATE VIEW {name} AS {' UNION ALL '.join(f'({source})' for source in sources)}")


def _copies(connection: duckdb.DuckDBPyConnection, store: Store, name: str, keys: Sequence[str]) -> list[str]:
    """The SELECT, if any, over these merged files: read by DuckDB, in a third of pyarrow's time, or from S3 by
    pyarrow, because DuckDB's wheel lacks S3."""
    if not keys:
        return []
    uris = [store.duckdb_uri(key) for key in keys]
    if _is_remote(uris):
        connection.register(f"merged_{name}", _dataset(store, [(uri, None) for uri in uris]))
        return [f"SELECT {_COLUMNS} FROM merged_{name} AS scores"]
    known = connection.sql("SELECT current_setting('allowed_paths')").fetchall()[0][0]
    connection.execute(f"SET allowed_paths = [{', '.join(map(_quoted, [*known, *uris]))}]")
    files = f"[{', '.join(map(_quoted, uris))}]"
    return [f"SELECT {_COLUMNS} FROM read_parquet({files}, hive_partitioning = false) AS scores"]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _is_remote(uris: Sequence[str]) -> bool:
    return uris[0].startswith("s3://")


def _rows_of_parts(store: Store, sealed: Sequence[seals.Seal]) -> Any:
    """The rows of all sealed parts, opened lazily: only parts of the days, categories and model versions that a query
    needs."""
    parts = []
    for seal in sealed:
        where = seal.partition
        holds = (
            (ds.field("category") == where.category)
            & (ds.field("run_date") == pa.scalar(where.run_date, pa.date32()))
            & (ds.field("model_version") == where.model_version)
        )
        parts += [(store.duckdb_uri(part.key), holds) for plan in seal.plans for part in plan.parts]
    return _dataset(store, parts) if parts else scores.SCHEMA.empty_table()


def _dataset(store: Store, files: Sequence[tuple[str, ds.Expression | None]]) -> ds.Dataset:
    remote = _is_remote([files[0][0]])
    system = PyFileSystem(FSSpecHandler(store.filesystem)) if remote else LocalFileSystem()
    checked = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    form = ds.ParquetFileFormat(default_fragment_scan_options=checked)
    fragments = [form.make_fragment(uri.removeprefix("s3://"), system, holds) for uri, holds in files]
    return ds.FileSystemDataset(fragments, scores.SCHEMA, form, system)


def _all_labels(store: Store, unread: labels.Unread | None) -> pa.Table:
    """The labels of every category with a category column; spellings of a person's name are unified."""
    tables = [_LABELS.empty_table()]
    for category in labels.list_label_categories(store):
        table = labels.read_labels(store, category, unread=unread)
        tables.append(table.add_column(0, _LABELS.field("category"), pa.repeat(category, len(table))))
    whole = pa.concat_tables(tables)
    people = whole["labelled_by"].to_pylist()
    spelled = spellings(people)
    named = pa.array([spelled[person] for person in people], pa.string())
    return whole.set_column(whole.column_names.index("labelled_by"), _LABELS.field("labelled_by"), named)
