"""Options that describe a table of labels: its delimiter, encoding, columns and words."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from storage.labels.reading import TableReading

DelimiterOption = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        metavar="SIGN",
        help="What separates a table's cells: comma, semicolon, tab, bar or another sign; default: by its header.",
    ),
]
EncodingOption = Annotated[
    str | None,
    typer.Option("--encoding", metavar="NAME", help="Text encoding of a table, such as cp1252; default: utf-8."),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=HEADING",
        help="Heading of a column in a table: image, label, mask, labelled_by, labelled_at, kind or purpose; may be "
        "repeated.",
    ),
]


def table_reading_of(
    delimiter: str | None, encoding: str | None, columns: Sequence[str] | None, words: dict[str, str]
) -> "TableReading":
    """How to read the table. Raises StorageError for impossible options, BadParameter for unreadable ones."""
    from storage.labels.reading import table_reading

    headings: dict[str, str] = {}
    for column in columns or ():
        name, equals, heading = column.partition("=")
        if not equals or not name.strip() or not heading.strip():
            raise typer.BadParameter(f"--column {column!r} is not NAME=HEADING, such as image=Datei")
        if headings.setdefault(name.strip(), heading) != heading:
            raise typer.BadParameter(
                f"--column {name.strip()} is given twice, with different headings. Give it once."
            )
    return table_reading(delimiter, encoding, headings, words)


def read_label_file(file: Path) -> bytes:
    """The file's bytes. Raises SettingsError if it is missing or cannot be read."""
    from flows.settings import SettingsError

    try:
        return file.read_bytes()
    except FileNotFoundError as e:
        raise SettingsError(f"{file}: there is no such file; nothing was written{_near(file)}.") from e
    except IsADirectoryError as e:
        raise SettingsError(
            f"{file} is a folder, not a file of labels; nothing was written. Name a .csv, .tsv, .parquet or .json in "
            "it; to bring in a folder of images: rd-inspect import."
        ) from e
    except OSError as e:
        raise SettingsError(
            f"{file} cannot be read ({e.strerror}); nothing was written. Change its mode or owner."
        ) from e


def _near(file: Path) -> str:
    import difflib

    if not file.parent.is_dir():
        return f". There is no folder {file.parent} either"
    there = [beside.name for beside in file.parent.iterdir() if beside.is_file()]
    near = difflib.get_close_matches(file.name, there, 1, 0.8)
    return f". The nearest name there is {near[0]}" if near else ""
