"""`rd-inspect query`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.frame import StoreOption, plain_errors, resolved_store
from flows.machinery.interruption import before_exit


class Format(StrEnum):
    """Formats of printed rows."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement, in quotes.")],
    store: StoreOption = None,
    output_format: Annotated[
        Format | None, typer.Option("--format", help="Format of the rows that are printed; default: table.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write all rows to this new file, .csv, .parquet or .json, instead."
        ),
    ] = None,
) -> None:
    """Query scores and labels with one SQL statement (DuckDB).

    Views: `latest` (each image's latest score), `scores` (every row of complete days), `labels`, and `seals` (one
    row for each complete day of a category). The statement may be SELECT, PIVOT, DESCRIBE, SHOW, SUMMARIZE or
    EXPLAIN; nothing is written. A second column of the same name becomes `name_1`. json: one row a line, NaN and
    infinity as null. csv: lists and structs as JSON, bytes in hex, NULL as nothing.

    A terminal shows 100 rows and the columns that fit, and names the others. A pipe gets every row and column.
    `--out` writes csv and json as above, and Parquet with the types of the columns; the file appears only when it
    is whole, and an existing file is left as it is.

    A damaged label file or seal is named, and the answer is without it; exit code 1 if it was a seal.

    Example:

    * `rd-inspect query "SELECT category, count(*) FROM latest GROUP BY 1"`

    Next: `rd-inspect compact` makes queries over many days fast.
    """
    with plain_errors():
        from flows.commands.tables.query import query_output
        from storage.analysis.questions import remove_spilled

        if out is not None and output_format is not None:
            raise typer.BadParameter("--format says how to print; what --out writes goes by the ending of its file")
        with before_exit(remove_spilled):
            query_output(resolved_store(store), sql, (output_format or Format.TABLE).value, out)
