"""SQL over the sealed scores, with DuckDB."""

from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import FSSpecHandler, LocalFileSystem, PyFileSystem

from storage import labels, scores, seals
from storage.errors import QueryError
from storage.store import Store

_TIME = pa.timestamp("us", "UTC")
_SEALS = pa.schema(
    [
        ("category", pa.string()),
        ("run_date", pa.date32()),
        ("model_version", pa.string()),
        ("plan_digest", pa.string()),
        ("map_store", pa.string()),
        ("images", pa.int64()),
        ("ok", pa.int64()),
        ("unreadable", pa.int64()),
        ("rejected", pa.int64()),
        ("anomalous", pa.int64()),
        ("parts", pa.int64()),
        ("run_id", pa.string()),
        ("sealed_at", _TIME),
    ]
)
_LABELS = pa.schema([pa.field("category", pa.string()), *labels.SCHEMA])

# A plan's map store is its own, so it leads from a row to the plan and its time of sealing.
_LATEST = """
CREATE VIEW latest AS
SELECT scores.* FROM scores LEFT JOIN seals ON scores.map_store = seals.map_store
QUALIFY row_number() OVER (
    PARTITION BY scores.image_key
    ORDER BY scores.scored_at DESC, seals.sealed_at DESC NULLS LAST, scores.model_version DESC
) = 1
"""


def connect(store: Store) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with these views of what is sealed now:

    `scores`: every row of every sealed part; `latest`: each image's latest sealed row; `labels`: each image's
    label, with its category; `seals`: one row a sealed plan. Times are in UTC.

    The parts are read when a query needs them, and only the columns and rows it needs. The connection reaches no
    other file, and can write none: not even the store's.
    """
    connection = duckdb.connect()
    sealed = list(seals.list_seals(store))
    connection.register("scores", _scores(store, sealed))
    connection.register("seals", _table(_SEALS, _seal_rows(sealed)))
    connection.register("labels", _table(_LABELS, _label_rows(store)))
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(_LATEST)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def run_query(store: Store, sql: str) -> pa.Table:
    """What a SELECT over the views of `connect` finds. QueryError with DuckDB's words if it is wrong."""
    with connect(store) as connection:
        try:
            found = connection.sql(sql)
            if found is None:
                raise QueryError(f"{sql!r} asks nothing, so there is no table to show. Write a SELECT.")
            return found.to_arrow_table()
        except (duckdb.Error, RuntimeError, OSError) as e:
            raise QueryError(
                f"DuckDB refuses {sql!r}: {e}. The views are scores, latest, labels and seals; "
                "DESCRIBE scores shows a view's columns."
            ) from e


def _scores(store: Store, sealed: list[seals.Seal]) -> Any:
    keys = [part.key for seal in sealed for plan in seal.plans for part in plan.parts]
    if not keys:
        return scores.SCHEMA.empty_table()
    uris = [store.duckdb_uri(key) for key in keys]
    remote = uris[0].startswith("s3://")
    files = PyFileSystem(FSSpecHandler(store.filesystem)) if remote else LocalFileSystem()
    # Fragment by fragment: nothing is opened, or even looked up, before a query needs it.
    form = ds.ParquetFileFormat()
    fragments = [form.make_fragment(uri.removeprefix("s3://"), files) for uri in uris]
    return ds.FileSystemDataset(fragments, scores.SCHEMA, form, files)


def _seal_rows(sealed: list[seals.Seal]) -> Iterator[tuple]:
    for seal in sealed:
        where = seal.partition
        for plan in seal.plans:
            counts = (plan.images, plan.ok, plan.unreadable, plan.rejected, plan.anomalous, len(plan.parts))
            yield (
                *(where.category, where.run_date, where.model_version, plan.digest, plan.map_store),
                *(*counts, plan.run_id, plan.sealed_at),
            )


def _label_rows(store: Store) -> Iterator[tuple]:
    for category in labels.list_label_categories(store):
        for row in labels.read_labels(store, category).to_pylist():
            yield (category, *row.values())


def _table(schema: pa.Schema, rows: Iterator[tuple]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
