"""The command that asks the scores: rd-inspect query."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.frame import StoreOption, plain_errors, resolved_store
from flows.machinery.interruption import before_exit


class Format(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL")],
    store: StoreOption = None,
    output_format: Annotated[Format | None, typer.Option("--format", help="How to print; default: table.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write all rows to a new file: .csv, .parquet or .json."),
    ] = None,
) -> None:
    """Ask the scores with SQL (DuckDB).

    Views: `latest` (each image's latest score), `scores` (every row of complete nights), `labels`, `seals`. Rows of
    runs that were not completed never show. It answers a single SELECT, PIVOT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN,
    and writes nothing. A second column of one name is shown as `name_1`. json: a row a line, NaN and infinity as
    null. csv: lists and structs as JSON, bytes in hex, nothing for NULL.

    A terminal shows 100 rows, and of more columns than it has room for those that come first or tell most; it names
    the others. A pipe gets every row and column. `--out FILE` writes csv and json as above, Parquet with the types of
    the columns; the file is there only once it is whole, and one that is there already is left as it is.

    A label file or a seal that does not read is named, and the answer is without it; exit code 1 if it was a seal.

    Example: `rd-inspect query "SELECT category, count(*) FROM latest GROUP BY 1"`
    """
    with plain_errors():
        from flows.commands.tables.query import query_output
        from storage.analysis.questions import remove_spilled

        if out is not None and output_format is not None:
            raise typer.BadParameter("--format says how to print; what --out writes goes by the ending of its file")
        with before_exit(remove_spilled):
            query_output(resolved_store(store), sql, (output_format or Format.TABLE).value, out)
