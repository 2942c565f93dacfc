"""`rd-inspect drift`."""

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


def drift(
    first_day: Annotated[
        datetime | None,
        typer.Option(
            "--from", formats=DATE_FORMATS, metavar=DAY, help="First day; default: 29 days before the last."
        ),
    ] = None,
    last_day: Annotated[
        datetime | None,
        typer.Option(
            "--to", formats=DATE_FORMATS, metavar=DAY, help="Last day, included; default: the last scored day."
        ),
    ] = None,
    store: StoreOption = None,
    category: CategoriesOption = None,
    golden: Annotated[
        bool,
        typer.Option(
            "--golden", help="First score the golden (reference) images again; choose some if there are none."
        ),
    ] = False,
    defect_share: Annotated[
        float | None, typer.Option(help="Largest share of defects on ordinary days, 0 to 1; default: 0.02.")
    ] = None,
    images: ImagesOption = None,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Test whether light, focus, parts or model have drifted, and say what to do.

    Each category gets a verdict: hold, recalibrate, retrain or stop. The scores of complete days are compared with
    the images that calibrated their model; a new model version begins a new baseline. Nothing is scored again,
    except with `--golden`. It writes an HTML report, and the same figures as JSON and Parquet, below
    `reports/drift/<first>_<last>/`.

    Examples:

    * `rd-inspect drift`
    * `rd-inspect drift --from 2026-11-01 --to 2026-11-21 --golden`

    Next: `rd-inspect retrain --category cloth` where the verdict is retrain, and where it is recalibrate
    `rd-inspect recalibrate --category cloth`.
    """
    days = (day_of(first_day), day_of(last_day))
    options = None if defect_share is None else {"defect_share": defect_share}
    settings = check(store, category, images=images, days=days, dask_address=dask_address)
    with plain_errors():
        from flows.preflight.refusals import refuse_drift

        refuse_drift(settings, *days, category, options)
    with plain_errors(), command_server(verbose, flow="flows.drift"):
        from flows.commands.tables.drift import drift_table
        from flows.drift import report_drift

        uri, first, last = resolved_store(store), day_of(first_day), day_of(last_day)
        work = partial(
            report_drift, uri, first, last, category,
            images=images, golden=golden, dask_address=dask_address, options=options,
        )  # fmt: skip
        show_run(work, drift_table, uri)
