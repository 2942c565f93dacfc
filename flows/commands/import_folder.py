"""rd-inspect import: bring in a folder of images."""

from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.frame import DATE_FORMATS, StoreOption, meanings, plain_errors, resolved_store, say


class Word(StrEnum):
    """What a folder may say of its images."""

    NORMAL = "normal"
    ANOMALOUS = "anomalous"
    UNSURE = "unsure"


def import_folder(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="One category in the MVTec layout.")],
    category: Annotated[str, typer.Option("--category", metavar="NAME")],
    run_date: Annotated[datetime, typer.Option("--run-date", formats=DATE_FORMATS, help="Day of the test images.")],
    store: StoreOption = None,
    normals_date: Annotated[
        datetime | None,
        typer.Option("--normals-date", formats=DATE_FORMATS, help="Day of train/; default: the day before."),
    ] = None,
    prefix: Annotated[
        str,
        typer.Option(
            "--prefix",
            metavar="NAME",
            help="A folder within the day, such as camera-b, for a second folder that has the same names.",
        ),
    ] = "",
    word: Annotated[
        list[str] | None,
        typer.Option(
            "--word",
            metavar="FOLDER=WORD",
            help="What a folder's name means: normal, anomalous or unsure; may be given again.",
        ),
    ] = None,
) -> None:
    """Bring a folder of images into the store.

    `train/good/*` become labelled normals of the day before RUN_DATE, to train on. `test/<kind>/*` become RUN_DATE's
    images, with their labels; masks from `ground_truth/<kind>/` are kept beside. `good` may be called ok, normal or
    pass. What is not taken is listed, with the reason.

    Nothing in the store is replaced: where another picture has the same name and day, nothing is imported, and the
    names are told. Doing it again adds what is new; what people said since stands.

    Example: `rd-inspect import photos/b --category cloth --run-date 2026-11-21 --prefix camera-b --word fein=normal`
    """
    words = meanings(word or [])
    if unknown := sorted(set(words.values()) - set(Word)):
        raise typer.BadParameter(f"--word ...={unknown[0]} is no word. Use {', '.join(Word)}.")
    with plain_errors():
        from flows.importing import import_category, told
        from flows.preflight import refuse_future_import

        day = run_date.date()
        before = normals_date.date() if normals_date else day - timedelta(days=1)
        refuse_future_import(resolved_store(store), (day, before))
        done = import_category(resolved_store(store), folder, category, day, before, prefix=prefix, words=words)
        for line in told(done, category, day, before):
            say(line)
        say(f"Next: rd-inspect train --category {category} --store {resolved_store(store)}")
