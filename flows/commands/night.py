"""`rd-inspect inspect` and `rd-inspect demo`."""

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
            "--run-date",
            formats=DATE_FORMATS,
            metavar=DAY,
            help="Production day; default: yesterday in the plant's time zone.",
        ),
    ] = None,
    store: StoreOption = None,
    category: CategoriesOption = None,
    images: ImagesOption = None,
    reports: Annotated[
        bool, typer.Option("--reports/--no-reports", help="End with the evaluation, drift and index reports.")
    ] = True,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Score the images of one production day with each category's champion.

    Images that have a score and did not change are skipped, so an interrupted run continues where it stopped. A
    file that cannot be read becomes a row with its error. The run ends with its own report, an evaluation where
    images are labelled for one, the drift up to that day, and `reports/index.html`, which links them all.

    Exit code 1: a category is not complete, or it has a champion and no image of that day. Either its camera was
    silent, or categories.toml lacks `every_day = false` for a product that is not made daily. The other categories
    are scored all the same. Exit code 2: no category has an image of that day; nothing was started.

    Examples:

    * `rd-inspect inspect`
    * `rd-inspect inspect --run-date 2026-11-21 --category cloth`

    Next: `rd-inspect review` shows the flagged images; `rd-inspect status` shows which days are complete.
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
        except NoImages as e:  # a scheduled night, which began in order to report that all cameras are silent
            raise RunFailed(str(e)) from e


def demo(
    store: Annotated[
        str,
        typer.Option("--store", metavar="URI", help="Local folder, made anew: an earlier demo in it is replaced."),
    ] = "rd-inspect-demo",
    verbose: VerboseOption = False,
) -> None:
    """Generate a small factory, train its models and inspect five nights.

    It makes woven cloth, brushed metal and a printed part, some with defects. One night brings broken files; on
    another a lamp fails. It takes a few minutes on two cores.

    Example:

    * `rd-inspect demo`

    Next: `rd-inspect import` brings in your own images.
    """
    with plain_errors():
        from flows.preflight.refusals import refuse_demo

        refuse_demo(store)
    with plain_errors(), command_server(verbose, flow="flows.demonstration", cluster=True):
        from flows.demonstration import demonstrate

        demonstrate(store)
