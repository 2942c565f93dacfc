"""`rd-inspect evaluate`."""

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
        typer.Option("--from", formats=DATE_FORMATS, metavar=DAY, help="First day; default: the last scored day."),
    ] = None,
    last_day: Annotated[
        datetime | None,
        typer.Option("--to", formats=DATE_FORMATS, metavar=DAY, help="Last day, included; default: the first day."),
    ] = None,
    store: StoreOption = None,
    category: CategoriesOption = None,
    images: ImagesOption = None,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Measure how well the models did on production days that have labelled images.

    It compares the scores and anomaly maps of complete days with the labels and masks that are kept for
    evaluation. No model is loaded and nothing is scored again, so repeat it whenever more images are labelled. It
    writes an HTML report, and the same figures as JSON and Parquet, below `reports/evaluation/<first>_<last>/`.

    Example:

    * `rd-inspect evaluate --from 2026-11-15 --to 2026-11-21`

    Next: `rd-inspect drift` tests whether those days still fit the threshold.
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
