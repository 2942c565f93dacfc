"""The answer to a query: on a terminal, in a pipe, in a file."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import typer

from flows.commands.tables.plant import opened
from flows.errors import RUN_FAILED
from flows.printing.numbers import counted
from flows.printing.output import quiet_pipe, say
from flows.printing.plain_table import PlainTable, print_rows, print_table
from flows.printing.result_file import refuse_unusable, write_file
from flows.printing.row_text import csv_cell, rows, write_csv, write_json
from storage import layout
from storage.analysis.queries import query_batches, run_query
from storage.errors import StorageError

ROWS_SHOWN = 100
"""rows of a query on a terminal; a pipe and a file get all"""
_ROWS_AT_ONCE = 10_000
_ROWS_OF_A_FILE = 122_880
"""rows at once: a Parquet row group as large as DuckDB's"""
_EXPLANATION = ["explain_key", "explain_value"]
_LOOKED_AT_FIRST = (
    *("image_key", "score", "threshold", "is_anomalous", "decision", "status", "error"),
    *("category", "run_date", "model_version"),
)
"""columns that a narrow terminal shows of `SELECT *`"""


def query_output(store_uri: str, sql: str, output_format: str, out: Path | None = None) -> None:
    """Run `sql` and print it as a table, CSV or JSON lines, or write it to `out`. Exits with RUN_FAILED at the end
    if rows are missing because their seal cannot be read."""
    without: list[str] = []

    def tell(key: str, error: StorageError) -> None:
        say(f"rd-inspect: the answer is without {key}, which cannot be read. {error}")
        without.append(key)

    if out is not None:
        refuse_unusable(out)
        with query_batches(opened(store_uri), sql, _ROWS_OF_A_FILE, unread=tell) as (schema, batches):
            written = write_file(out, schema, batches)
        say(f"{counted(written, 'row')} of {counted(len(schema), 'column')}: {out}")
    else:
        answer = run_query(opened(store_uri), sql, unread=tell)
        with quiet_pipe():
            _print(answer, output_format)
    if any(key.startswith(layout.seals_prefix()) for key in without):
        raise typer.Exit(RUN_FAILED)


def _print(answer: pa.Table, output_format: str) -> None:
    batches = answer.to_batches(_ROWS_AT_ONCE)
    if output_format == "csv":
        write_csv(sys.stdout, answer.schema, batches)
    elif output_format == "json":
        write_json(sys.stdout, answer.schema, batches)
    elif answer.column_names == _EXPLANATION:  # a drawing, whose lines are not to be told as one
        sys.stdout.writelines(f"{drawing}\n" for drawing in answer.column(1).to_pylist())
    elif sys.stdout.isatty():
        print_table(result_table(answer))
    else:
        print_rows(answer.column_names, (list(_cells(batch)) for batch in batches))


def result_table(answer: pa.Table) -> PlainTable:
    """The first rows, for a terminal."""
    table = PlainTable(tuple(answer.column_names), narrow="fewer", preferred=_LOOKED_AT_FIRST)
    for batch in answer.slice(0, ROWS_SHOWN).to_batches():
        for cells in _cells(batch):
            table.add_row(*cells)
    if answer.num_rows > ROWS_SHOWN:
        table.notes.append(
            f"{ROWS_SHOWN} of {answer.num_rows} rows; --format csv, --format json or --out FILE gives all."
        )
    if not answer.num_rows:
        table.notes.append(f"No rows of {', '.join(answer.column_names)}.")
    return table


def _cells(batch: pa.RecordBatch) -> Iterator[tuple[str, ...]]:
    for row in rows(batch):
        yield tuple(_shown(value, kind) for value, kind in row)


def _shown(value: Any, kind: pa.DataType) -> str:
    """As in CSV, but 32-bit floats with only the digits that they have."""
    if value is None:
        return ""
    if pa.types.is_float32(kind):
        return str(np.float32(value))
    return str(csv_cell(value, kind))
