"""The command that tells how good the nights were: rd-inspect evaluate."""

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
    check,
    command_server,
    day_of,
    plain_errors,
    resolved_store,
    show_run,
)


def evaluate(
    first_day: Annotated[
        datetime | None,
        typer.Option("--from", formats=DATE_FORMATS, metavar=DAY, help="First day; default: the last inspected."),
    ] = None,
    last_day: Annotated[
        datetime | None,
        typer.Option("--to", formats=DATE_FORMATS, metavar=DAY, help="Last day, included; default: the first."),
    ] = None,
    store: StoreOption = None,
    category: CategoriesOption = None,
    images: ImagesOption = None,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Tell how good the nights were, wherever images are labelled for evaluation.

    Reads scores and maps of complete days, the labels and the masks; no model is loaded and nothing is scored again,
    so it can be repeated whenever somebody has labelled more. Writes `reports/evaluation/<first>_<last>/`: an HTML
    report, and the same figures as JSON and Parquet.
    """
    days = (day_of(first_day), day_of(last_day))
    settings = check(store, category, images=images, days=days, dask_address=dask_address)
    with plain_errors():
        from flows.preflight.refusals import refuse_evaluation

        refuse_evaluation(settings, *days, category)
    with plain_errors(), command_server(verbose, flow="flows.evaluation"):
        from flows.commands.tables.evaluation import evaluation_table
        from flows.evaluation import evaluate as evaluate_days

        uri, first, last = resolved_store(store), day_of(first_day), day_of(last_day)
        work = partial(evaluate_days, uri, first, last, category, images=images, dask_address=dask_address)
        show_run(work, evaluation_table, uri)
