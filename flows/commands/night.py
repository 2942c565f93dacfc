"""The commands that inspect: a night of the plant, or the nights of a generated factory."""

from datetime import datetime
from functools import partial
from typing import Annotated

import typer

from flows.commands.frame import (
    DATE_FORMATS,
    DAY,
    CategoriesOption,
    DaskOption,
    ImagesOption,
    StoreOption,
    VerboseOption,
    command_server,
    day_of,
    plain_errors,
    resolved_store,
    show_run,
)


def inspect(
    run_date: Annotated[
        datetime | None,
        typer.Option(
            "--run-date", formats=DATE_FORMATS, metavar=DAY, help="Production day; default: yesterday at the plant."
        ),
    ] = None,
    store: StoreOption = None,
    category: CategoriesOption = None,
    images: ImagesOption = None,
    reports: Annotated[
        bool, typer.Option("--reports/--no-reports", help="At the end: evaluation where labels are, drift, index.")
    ] = True,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Score one production day with the champions in force.

    Images that were scored before and have not changed are left alone, so a run that was interrupted goes on where it
    stopped. A file that cannot be read becomes a row with its error. Ends with a report of the run, an evaluation
    where images are labelled for one, the drift up to that day, and `reports/index.html`, which links them all.

    Exit code 1 if a category was not scored whole, or has a model in force and no image of that day: a silent camera,
    or `every_day = false` is missing in categories.toml for what is not made daily. The others are scored all the
    same. Exit code 2, at once, if there is no image of that day at all.
    """
    with plain_errors():
        from flows.preflight.checks import checked_night

        large = checked_night(store, day_of(run_date), category, images=images, dask_address=dask_address)
    with plain_errors(), command_server(verbose, flow="flows.inspection", cluster=large and not dask_address):
        from flows.commands.tables.plant import inspection_table
        from flows.errors import RunFailed
        from flows.inspection import inspect_images
        from flows.preflight.night_choice import NoImages

        uri, day = resolved_store(store), day_of(run_date)

        work = partial(inspect_images, uri, day, category, images=images, reports=reports, dask_address=dask_address)
        try:
            show_run(work, inspection_table, uri)
        except (
            NoImages
        ) as e:  # of a night by the clock, which was begun to tell everybody that all cameras are silent
            raise RunFailed(str(e)) from e


def demo(
    store: Annotated[str, typer.Option("--store", metavar="URI", help="Made anew.")] = "rd-inspect-demo",
    verbose: VerboseOption = False,
) -> None:
    """Generate a small factory, train, inspect five nights, show what was found.

    Woven cloth, brushed metal and a printed part; a few defects of several kinds; a night with broken files, a night
    on which a lamp fails. Takes a few minutes on two cores.
    """
    with plain_errors():
        from flows.preflight.refusals import refuse_demo

        refuse_demo(store)
    with plain_errors(), command_server(verbose, flow="flows.demonstration", cluster=True):
        from flows.demonstration import demonstrate

        demonstrate(store)
