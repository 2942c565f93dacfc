"""The rows of an answer as text: CSV, and JSON with one row a line."""

import csv
import json
import math
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, TextIO

import pyarrow as pa

from storage.errors import QueryError

_ROWS_AT_ONCE = 10_000
_NUMBERS_AS_TEXT = (b"UHUGEINT", b"BIGNUM")


def write_csv(file: TextIO, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Column names, then one line a row."""
    lines = csv.writer(file)
    lines.writerow(schema.names)
    for batch in batches:
        lines.writerows([csv_cell(value, kind) for value, kind in row] for row in rows(batch))


def write_json(file: TextIO, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """One object a line."""
    from storage.analysis.questions import DUCKDB_TYPE  # noqa: PLC0415  # brings DuckDB, half a second

    names = [json.dumps(name) for name in schema.names]
    numbers = [(field.metadata or {}).get(DUCKDB_TYPE) in _NUMBERS_AS_TEXT for field in schema]
    for batch in batches:
        for row in rows(batch):
            values = [
                str(value) if number and value is not None else as_json(value, kind)
                for (value, kind), number in zip(row, numbers, strict=True)
            ]
            pairs = ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
            file.write(f"{{{pairs}}}\n")


def rows(batch: pa.RecordBatch) -> Iterator[list[tuple[Any, pa.DataType]]]:
    """Each row's values with their types."""
    for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
        part = batch.slice(start, _ROWS_AT_ONCE)
        columns = [_values(column, name) for column, name in zip(part.columns, part.schema.names, strict=True)]
        for values in zip(*columns, strict=True):
            yield list(zip(values, part.schema.types, strict=True))


def as_json(value: Any, kind: pa.DataType | None = None) -> str:
    """A value as JSON, by its Arrow type if known (a map looks like a list of pairs): decimals and large integers
    as exact numbers; NaN and infinity, which JSON does not have, as null."""
    if isinstance(value, dict):
        kinds = {field.name: field.type for field in kind} if kind is not None and pa.types.is_struct(kind) else {}
        return _object((name, as_json(field, kinds.get(name))) for name, field in value.items())
    if isinstance(value, list):
        if kind is not None and pa.types.is_map(kind):
            pairs = ((_map_key(key, kind.key_type), as_json(content, kind.item_type)) for key, content in value)
            return _object(pairs)
        inner = kind.value_type if kind is not None and _is_list(kind) else None
        return f"[{', '.join(as_json(entry, inner) for entry in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return json.dumps(_plain(value))


def csv_cell(value: Any, kind: pa.DataType) -> Any:
    """A value as a CSV cell: nothing for NULL; nan, inf and -inf as they are; nested values as JSON."""
    if isinstance(value, (list, dict)):
        return as_json(value, kind)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return _plain(value)


def _plain(value: Any) -> Any:
    """Dates and times in ISO format, bytes in hex."""
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else value


def _object(pairs: Iterator[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in pairs) + "}"


def _map_key(key: Any, kind: pa.DataType) -> str:
    """A map's key as a JSON name, which is always text."""
    return key if isinstance(key, str) else str(csv_cell(key, kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _values(column: pa.Array, name: str) -> list[Any]:
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError) as e:
        raise QueryError(
            f"column {name!r} has a date beyond Python's calendar ({e}), so it is not shown. Ask for "
            f'CAST("{name}" AS VARCHAR), or leave such rows out.'
        ) from e
