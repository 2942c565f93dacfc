"""Prints scores of files as they come."""

import sys
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from flows.printing.output import quiet_pipe
from flows.printing.plain_table import print_rows
from flows.printing.row_text import write_csv, write_json

_COLUMNS = ("image", "decision", "score", "threshold", "p-value", "area above", "error")


def print_scores(batches: Iterable[pa.RecordBatch], schema: pa.Schema, output_format: str) -> None:
    """Print rows of FILE_SCHEMA as table, csv or json, each at once. When the reader leaves, no further rows are
    computed."""
    with quiet_pipe():
        if output_format == "csv":
            write_csv(sys.stdout, schema, _at_once(batches))
        elif output_format == "json":
            write_json(sys.stdout, schema, _at_once(batches))
        else:
            print_rows(_COLUMNS, ([_cells(row) for row in batch.to_pylist()] for batch in _at_once(batches)))


def _at_once(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        sys.stdout.flush()  # the rows that were just written: a pipe would keep them back


def _cells(row: dict) -> tuple[str, ...]:
    if row["score"] is None:
        return (row["path"], row["status"], "", "", "", "", row["error"])
    return (
        row["path"],
        row["decision"],
        *(str(np.float32(row[name])) for name in ("score", "threshold")),
        f"{row['p_value']:.3g}",
        f"{row['anomalous_area']:.2%}",
        "",
    )
