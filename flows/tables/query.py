"""What a query found: on a terminal, as CSV, as JSON lines."""

import csv
import json
import math
import os
import sys
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

from flows.commands.frame import say
from flows.run_failed import RUN_FAILED
from flows.tables.plant import opened, plain_table
from storage import layout
from storage.errors import QueryError, StorageError
from storage.queries import run_query
from storage.questions import DUCKDB_TYPE

ROWS_SHOWN = 100
"""of a query on a terminal; csv and json give all"""
_ROWS_AT_ONCE = 10_000
_NUMBERS_AS_TEXT = (b"UHUGEINT", b"BIGNUM")


def query_output(store_uri: str, sql: str, output_format: str) -> None:
    """Run `sql` and print it as a table, CSV or JSON lines. Exits with RUN_FAILED, at the end, if rows are missing
    since their seal does not read."""
    without: list[str] = []

    def tell(key: str, error: StorageError) -> None:
        say(f"rd-inspect: the answer is without {key}, which does not read. {error}")
        without.append(key)

    found = run_query(opened(store_uri), sql, unread=tell)
    try:
        _print(found, output_format)
        sys.stdout.flush()
    except BrokenPipeError:  # of `| head`: whoever reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if any(key.startswith(layout.seals_prefix()) for key in without):
        raise typer.Exit(RUN_FAILED)


def _print(found: pa.Table, output_format: str) -> None:
    if output_format == "table":
        Console().print(result_table(found))
    elif output_format == "csv":
        lines = csv.writer(sys.stdout)
        lines.writerow(found.column_names)
        lines.writerows([csv_cell(value, kind) for value, kind in row] for row in _rows(found))
    else:
        names = [json.dumps(name) for name in found.column_names]
        numbers = [(field.metadata or {}).get(DUCKDB_TYPE) in _NUMBERS_AS_TEXT for field in found.schema]
        for row in _rows(found):
            values = [
                str(value) if number and value is not None else as_json(value, kind)
                for (value, kind), number in zip(row, numbers, strict=True)
            ]
            pairs = ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
            sys.stdout.write(f"{{{pairs}}}\n")


def result_table(found: pa.Table) -> Table:
    """The first rows, for a terminal."""
    table = plain_table(*found.column_names)
    for row in _rows(found.slice(0, ROWS_SHOWN)):
        table.add_row(*(_shown(value, kind) for value, kind in row))
    if found.num_rows > ROWS_SHOWN:
        table.caption = f"{ROWS_SHOWN} of {found.num_rows} rows; --format csv or json gives all"
    return table


def as_json(value: Any, kind: pa.DataType | None = None) -> str:
    """A value as JSON, by its Arrow type where that is known (a map looks like a list of pairs): decimals and large
    whole numbers as the numbers they are, digit by digit; NaN and infinity, which JSON has not, as null."""
    if isinstance(value, dict):
        kinds = {field.name: field.type for field in kind} if kind is not None and pa.types.is_struct(kind) else {}
        return _object((name, as_json(one, kinds.get(name))) for name, one in value.items())
    if isinstance(value, list):
        if kind is not None and pa.types.is_map(kind):
            pairs = ((_map_key(key, kind.key_type), as_json(one, kind.item_type)) for key, one in value)
            return _object(pairs)
        inner = kind.value_type if kind is not None and _is_list(kind) else None
        return f"[{', '.join(as_json(one, inner) for one in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return json.dumps(_plain(value))


def csv_cell(value: Any, kind: pa.DataType) -> Any:
    """A value as it stands in CSV: nothing for NULL; nan, inf and -inf as they are; nested ones as JSON."""
    if isinstance(value, (list, dict)):
        return as_json(value, kind)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return _plain(value)


def _shown(value: Any, kind: pa.DataType) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(csv_cell(value, kind))


def _plain(value: Any) -> Any:
    """Dates and times in ISO's form, bytes in hex."""
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else value


def _object(pairs: Iterator[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in pairs) + "}"


def _map_key(key: Any, kind: pa.DataType) -> str:
    """A map's key as a name in JSON, which is always text."""
    return key if isinstance(key, str) else str(csv_cell(key, kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _rows(found: pa.Table) -> Iterator[list[tuple[Any, pa.DataType]]]:
    """Each row's values with their types."""
    kinds = found.schema.types
    for batch in found.to_batches(_ROWS_AT_ONCE):
        columns = [_values(column, name) for column, name in zip(batch.columns, found.column_names, strict=True)]
        for values in zip(*columns, strict=True):
            yield list(zip(values, kinds, strict=True))


def _values(column: pa.Array, name: str) -> list[Any]:
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError) as e:
        raise QueryError(
            f"column {name!r} has a date that no calendar of Python's reaches ({e}), so it is not shown. Ask for "
            f'CAST("{name}" AS VARCHAR), or leave such rows out.'
        ) from e
