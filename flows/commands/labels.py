"""`rd-inspect labels`: imports labels that were made elsewhere."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.frame import ImagesOption, StoreOption, meanings, plain_errors, resolved_store
from flows.commands.table_options import (
    ColumnOption,
    DelimiterOption,
    EncodingOption,
    read_label_file,
    table_reading_of,
)
from flows.printing.numbers import counted
from flows.printing.output import say


class Purpose(StrEnum):
    """Permitted use of images."""

    TRAINING = "training"
    EVALUATION = "evaluation"


def import_label_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Label Studio's export (.json), or a table (.csv, .tsv, .parquet).",
        ),
    ],
    category: Annotated[str, typer.Option("--category", metavar="NAME", help="Category of the images.")],
    store: StoreOption = None,
    purpose: Annotated[
        Purpose | None,
        typer.Option(
            "--purpose",
            help="Use of images for which the file names none; default: as before, else training.",
        ),
    ] = None,
    word: Annotated[
        list[str] | None,
        typer.Option(
            "--word",
            metavar="CHOICE=WORD",
            help="Meaning of a Label Studio choice or a table's label: normal, anomalous or unsure; may be repeated.",
        ),
    ] = None,
    column: ColumnOption = None,
    delimiter: DelimiterOption = None,
    encoding: EncodingOption = None,
    image_tag: Annotated[
        str | None,
        typer.Option(
            "--image-tag",
            metavar="NAME",
            help="Label Studio's Image tag that shows the labelled image, if a task shows several; default: image.",
        ),
    ] = None,
    images: ImagesOption = None,
) -> None:
    """Import labels from Label Studio or from a table.

    FILE is Label Studio's JSON export: image choices, and masks drawn as polygons, rectangles, ellipses or with a
    brush. Or it is a table with the columns `image_key` and `label` (normal, anomalous, unsure or withdrawn), and
    optionally `labelled_by`, `labelled_at`, `kind`, `mask_key`, `purpose`.

    Every image must be in the store. An unknown name is refused together with the whole file, and the nearest
    known name is shown. Labels that the store already has are left alone, so the same or a longer file can be
    imported again.

    Examples:

    * `rd-inspect labels export.json --category cloth --word Kratzer=anomalous`
    * `rd-inspect labels list.csv --category cloth --column image=Datei`

    Next: `rd-inspect evaluate` measures with the labels; `rd-inspect retrain` trains on them.
    """
    choices = meanings(word or [])
    with plain_errors():
        from flows.settings import SettingsError

        data = read_label_file(file)
        from storage.filesystem import open_store
        from storage.labels.imports import import_labels
        from storage.labels.known_images import UnusableLabels
        from storage.labels.regions import NotAnExport

        uri = resolved_store(store)
        is_table = file.suffix.lower() != ".json"
        try:
            done = import_labels(
                open_store(uri),
                open_store(images or uri, read_only=True),
                category,
                data,
                str(file),
                now=datetime.now(UTC),
                purpose=purpose.value if purpose else None,
                choices=choices,
                image_tag=image_tag,
                table=table_reading_of(delimiter, encoding, column, choices if is_table else {}),
            )
        except (UnusableLabels, NotAnExport) as e:
            message = str(e)
            raise SettingsError(message if message.startswith((str(file), "--")) else f"{file}: {message}") from e
        counts = ", ".join(f"{count} {name}" for name, count in sorted(done.words.items()))
        left_out = f"; {done.left_out} cancelled or empty annotations left out" if done.left_out else ""
        people = "1 person" if done.people == 1 else f"{done.people} people"
        if done.words or left_out:
            say(f"{category}: {counts or 'no labels'} by {people}, {counted(done.masks, 'mask')}{left_out}.")
        if done.elsewhere:
            say(f"Left out, because it belongs to other images of the tasks: {_counted(done.elsewhere)}.")
        if done.columns:
            say(f"Ignored columns, because labels have no such field: {', '.join(done.columns)}.")
        if done.unheard:
            say(f"Left out, because a label cannot hold it: {_counted(done.unheard)}.")
        if done.outvoted:
            say(
                f"Left out, because people have changed them since: {counted(done.outvoted, 'label')}. To change "
                "them back, give labelled_at."
            )
        there = (
            "All of them were in the store already."
            if done.words
            else "The file holds no label; nothing was written."
        )
        say(f"{done.new} new: {uri.rstrip('/')}/{done.key}" if done.key else there)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} of {name}" for name, count in sorted(counts.items()))
