"""Seals as a table: one row for each sealed plan."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from storage.partitions.seals import Seal

SCHEMA = pa.schema(
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
        ("sealed_at", pa.timestamp("us", "UTC")),
    ]
)
"""the view `seals` of storage.analysis.queries has these columns"""


def to_table(sealed: Iterable[Seal]) -> pa.Table:
    """The plans of these seals in order, with SCHEMA's columns."""
    return as_table(SCHEMA, (row for seal in sealed for row in _rows(seal)))


def as_table(schema: pa.Schema, rows: Iterable[tuple]) -> pa.Table:
    """Rows, each in the order of the schema's columns, as a table."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _rows(seal: Seal) -> Iterator[tuple]:
    where = seal.partition
    for plan in seal.plans:
        counts = (plan.images, plan.ok, plan.unreadable, plan.rejected, plan.anomalous, len(plan.parts))
        yield (
            *(where.category, where.run_date, where.model_version, plan.digest, plan.map_store),
            *(*counts, plan.run_id, plan.sealed_at),
        )
