"""`rd-inspect import`."""

from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from flows.commands.frame import DATE_FORMATS, DAY, StoreOption, meanings, plain_errors, resolved_store
from flows.commands.labels import Purpose
from flows.commands.table_options import (
    ColumnOption,
    DelimiterOption,
    EncodingOption,
    read_label_file,
    table_reading_of,
)
from flows.printing.output import say


class Word(StrEnum):
    """Possible labels of a folder's images."""

    NORMAL = "normal"
    ANOMALOUS = "anomalous"
    UNSURE = "unsure"


def import_folder(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with the images of one category.")],
    category: Annotated[str, typer.Option("--category", metavar="NAME", help="Category of the images.")],
    run_date: Annotated[
        datetime,
        typer.Option(
            "--run-date",
            formats=DATE_FORMATS,
            metavar=DAY,
            help="Production day of the images in test/, or of all with --table.",
        ),
    ],
    store: StoreOption = None,
    normals_date: Annotated[
        datetime | None,
        typer.Option(
            "--normals-date",
            formats=DATE_FORMATS,
            metavar=DAY,
            help="Production day of the images in train/; default: the day before --run-date.",
        ),
    ] = None,
    prefix: Annotated[
        str,
        typer.Option(
            "--prefix",
            metavar="NAME",
            help="Folder within the day, such as camera-b, for a second import with the same file names.",
        ),
    ] = "",
    word: Annotated[
        list[str] | None,
        typer.Option(
            "--word",
            metavar="NAME=WORD",
            help="Meaning of a folder's name, or of a --table label: normal, anomalous or unsure; may be repeated.",
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            metavar="FILE",
            help="Table (.csv, .tsv, .parquet) of images below FOLDER and their labels, where no folders sort them.",
        ),
    ] = None,
    purpose: Annotated[
        Purpose | None,
        typer.Option("--purpose", help="Use of the images of --table; default: the table's own, else training."),
    ] = None,
    column: ColumnOption = None,
    delimiter: DelimiterOption = None,
    encoding: EncodingOption = None,
) -> None:
    """Import a folder of one category's images into the store.

    `train/good/*` become normal images of the day before `--run-date`, to train on. `test/<kind>/*` become
    labelled images of `--run-date`; their masks from `ground_truth/<kind>/` are kept with them. `good` may also be
    called ok, normal or pass. Every file that is left out is listed with the reason.

    With `--table` the folder may have any shape: all its images belong to `--run-date` and get their labels from
    the table.

    Nothing in the store is replaced. If another image has the same name and day, nothing is imported and the names
    are listed. A second import adds only what is new; labels that people gave since stay.

    Examples:

    * `rd-inspect import photos --category cloth --run-date 2026-11-21`
    * `rd-inspect import new --category tile --run-date 2026-11-21 --table a.csv`
    * `rd-inspect import b --category tile --run-date 2026-11-21 --prefix camera-b`

    Next: `rd-inspect train` trains a model on the normal images.
    """
    words = meanings(word or [])
    if unknown := sorted(set(words.values()) - set(Word)):
        raise typer.BadParameter(f"--word ...={unknown[0]} is no word. Use {', '.join(Word)}.")
    with plain_errors():
        from flows.preflight.checks import refuse_future_import
        from flows.settings import SettingsError

        day = run_date.date()
        before = normals_date.date() if normals_date else day - timedelta(days=1)
        refuse_future_import(resolved_store(store), (day, before))
        if table is not None:
            if normals_date:
                raise SettingsError(
                    "--normals-date is the day of train/, and with --table there is none: leave it out."
                )
            from flows.local.flat_import import flat_import_lines, import_flat_folder

            if not table.exists() and (folder / table).is_file():
                table = folder / table
            reading = table_reading_of(delimiter, encoding, column, words)
            brought = import_flat_folder(
                resolved_store(store), folder, category, day, table, read_label_file(table), reading,
                prefix=prefix, purpose=purpose.value if purpose else None,
            )  # fmt: skip
            for line in flat_import_lines(brought, category, day):
                say(line)
            say(f"Next: rd-inspect train --category {category} --store {quote(resolved_store(store))}")
            return
        for option, given in (("--column", column), ("--delimiter", delimiter), ("--encoding", encoding),
                              ("--purpose", purpose)):  # fmt: skip
            if given:
                raise SettingsError(f"{option} is about a table, and none is named: give --table FILE too.")
        from flows.local.importing import import_category, import_lines

        done = import_category(resolved_store(store), folder, category, day, before, prefix=prefix, words=words)
        for line in import_lines(done, category, day, before):
            say(line)
        say(f"Next: rd-inspect train --category {category} --store {quote(resolved_store(store))}")
