"""`rd-inspect recalibrate`."""

from datetime import datetime
from functools import partial
from typing import Annotated

import typer

from flows.commands.frame import (
    DATE_FORMATS,
    DAY,
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


def recalibrate(
    category: Annotated[
        list[str], typer.Option("--category", metavar="NAME", help="Category of the model, may be repeated.")
    ],
    first_day: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=DATE_FORMATS,
            metavar=DAY,
            help="First day; default: any, or with --unlabelled 29 days before the last.",
        ),
    ] = None,
    last_day: Annotated[
        datetime | None,
        typer.Option("--to", formats=DATE_FORMATS, metavar=DAY, help="Last day, included; default: the last."),
    ] = None,
    store: StoreOption = None,
    unlabelled: Annotated[
        bool,
        typer.Option(
            "--unlabelled/--labelled",
            help="Use all scores of complete days, or images labelled normal (default).",
        ),
    ] = False,
    held_out: Annotated[
        bool,
        typer.Option("--held-out", help="Use the model's own held-out scores: only alpha changes."),
    ] = False,
    alpha: Annotated[
        float | None,
        typer.Option(help="Promised false-alarm rate, a share such as 0.01; default: the category's."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="V", help="Version whose threshold is replaced; default: the champion."),
    ] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Make the new version the champion.")] = False,
    judge: Annotated[
        bool, typer.Option("--judge", help="Make it the champion only if the images kept for evaluation allow it.")
    ] = False,
    images: ImagesOption = None,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Give a model a new threshold from later images, without training it again.

    The new version has the same weights, so its scores can be compared with the old ones; nothing is copied. It
    needs some seconds. Images labelled normal after the training set the threshold, or with `--unlabelled` the
    scores of complete days, of which a few may be of defects. The new images alone decide: after a lasting change
    of light, name with `--from` its first day. With `--held-out` no image is read: after a change of the setting
    alpha, the same held-out scores set the threshold. After a change of the ignored region (`rd-inspect regions`),
    the images are scored anew with it, and so are those that set the training's threshold. The version stays a
    candidate unless `--promote` is given.

    Examples:

    * `rd-inspect recalibrate --category cloth --from 2026-11-08`
    * `rd-inspect recalibrate --category cloth --unlabelled --promote`
    * `rd-inspect recalibrate --category cloth --held-out --alpha 0.02`

    Next: `rd-inspect promote` makes it the champion; `rd-inspect rollback --category cloth` goes back.
    """
    days = (day_of(first_day), day_of(last_day))
    settings = check(store, category, images=images, days=days, dask_address=dask_address)
    with plain_errors():
        from flows.preflight.checks import refuse_reversed
        from flows.preflight.recalibration_choice import orders_of

        refuse_reversed(*days)
        if judge and promote:
            raise typer.BadParameter("--promote asks nobody and --judge the gate: give one of them.")
        if held_out and (unlabelled or any(days)):
            raise typer.BadParameter("--held-out reads no day's images: leave out --from, --to and --unlabelled.")
        orders_of(settings, category, model, alpha, unlabelled=unlabelled)
    with plain_errors(), command_server(verbose, flow="flows.recalibration"):
        from flows.commands.tables.recalibration import recalibration_table
        from flows.recalibration import recalibrate as recalibrate_models

        uri, first, last = resolved_store(store), day_of(first_day), day_of(last_day)
        work = partial(
            recalibrate_models, uri, category, first, last,
            unlabelled=unlabelled, held_out=held_out, alpha=alpha, model=model,
            promote=promote, judge=judge, images=images, dask_address=dask_address,
        )  # fmt: skip
        show_run(work, partial(recalibration_table, store=uri), uri)
