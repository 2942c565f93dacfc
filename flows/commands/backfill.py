"""`rd-inspect status` and `rd-inspect backfill`: which days are scored, and scoring those that are not."""

import json
from datetime import date, datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

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
from flows.printing.output import print_text, say
from flows.printing.plain_table import PlainTable, print_table

if TYPE_CHECKING:
    from flows.backfill import BackfillRun
    from flows.settings import Settings
    from storage.analysis.grid import Grid

_MOST_LINES = 20
"""problems told one by one; the log has all"""
FromOption = Annotated[
    datetime | None,
    typer.Option("--from", formats=DATE_FORMATS, metavar=DAY, help="First day; default: 30 days in all."),
]
ToOption = Annotated[
    datetime | None,
    typer.Option(
        "--to", formats=DATE_FORMATS, metavar=DAY, help="Last day, included; default: the last with images."
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="V", help="A model version of the category; default: the champion."),
]


class GridFormat(StrEnum):
    """How a grid or findings are printed."""

    TABLE = "table"
    JSON = "json"


FormatOption = Annotated[GridFormat, typer.Option("--format", help="How to print.")]


def status(
    first_day: FromOption = None,
    last_day: ToOption = None,
    store: StoreOption = None,
    category: CategoriesOption = None,
    model: ModelOption = None,
    images: ImagesOption = None,
    output_format: FormatOption = GridFormat.TABLE,
) -> None:
    """Show which days are scored: day by category.

    `done`: complete, every image has a row. `partly 7/9`: it was, but images came late or changed since. `failed`: a
    run began and never came to its end. `missing`: no run of this model version began. `training`: all of its images
    are to train on, so nothing is to do. `-`: no images. The store alone decides; nothing of it is changed, and no
    server is needed. In a copied or restored store the images of these days are read once, to see that they are the
    same. To score what is left: `rd-inspect backfill`.
    """
    with plain_errors():
        from flows.preflight.checks import checked_settings
        from flows.printing.grid import grid_json, grid_table

        days = (day_of(first_day), day_of(last_day))
        grid = _grid(checked_settings(store, category, images=images, days=days), days, category, model)
        if output_format is GridFormat.JSON:
            print_text(json.dumps(grid_json(grid), indent=2) + "\n")
        else:
            print_table(grid_table(grid))


def _grid(
    settings: "Settings", days: tuple[date | None, date | None], category: list[str] | None, model: str | None
) -> "Grid":
    from flows.commands.frame import told_once
    from flows.preflight.grid_choice import chosen_categories, chosen_days, versions_in_force
    from storage.analysis.grid import read_grid
    from storage.filesystem import open_store

    opened = open_store(settings.store, read_only=True)
    opened.check()
    chosen = chosen_categories(settings, category)
    window = chosen_days(settings, chosen, *days)
    versions = versions_in_force(opened, chosen, model)
    line = open_store(settings.images, read_only=True)
    with told_once(say) as tell:
        return read_grid(open_store(settings.store), line, *window, versions, tell=tell)


def _dry_run(
    settings: "Settings", days: tuple[date | None, date | None], category: list[str] | None, model: str | None
) -> PlainTable:
    """What there is to do: no server and no worker is needed to look."""
    from flows.printing.grid import grid_table

    grid = _grid(settings, days, category, model)
    table = grid_table(grid)
    table.title = f"dry run, {len(grid.undone)} to do; {table.title}"
    return table


def backfill(
    first_day: FromOption = None,
    last_day: ToOption = None,
    store: StoreOption = None,
    category: CategoriesOption = None,
    model: ModelOption = None,
    oldest_first: Annotated[bool, typer.Option("--oldest-first", help="Default: newest day first.")] = False,
    at_once: Annotated[int, typer.Option("--at-once", min=1, metavar="N", help="Days in flight.")] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what is to do.")] = False,
    mend: Annotated[
        bool, typer.Option("--mend", help="Read all parts and maps of complete days too; score damaged batches anew.")
    ] = False,
    images: ImagesOption = None,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Score the days of a window that are missing, partly scored or were interrupted.

    Each category keeps the model that was in force at the start, however long it takes. What is complete is left
    alone, so that the same command goes on after any interruption, and does nothing once all is done. Another
    `--model` adds its own partitions to old days and removes none. A nightly run on the same Dask cluster overtakes.
    Exit code 1 if something is left undone.
    """
    days = (day_of(first_day), day_of(last_day))
    settings = check(store, category, images=images, days=days, dask_address=dask_address)
    with plain_errors():
        from flows.preflight.refusals import refuse_backfill

        refuse_backfill(settings, *days, category, model)
        if dry_run:
            print_table(_dry_run(settings, days, category, model))
            return
    with plain_errors(), command_server(verbose, flow="flows.backfill"):
        from flows.backfill import backfill as backfill_days

        uri = resolved_store(store)
        work = partial(
            backfill_days, uri, day_of(first_day), day_of(last_day), category,
            model=model, oldest_first=oldest_first, at_once=at_once, mend=mend,
            images=images, dask_address=dask_address,
        )  # fmt: skip
        show_run(work, _table, uri)


def _table(run: "BackfillRun") -> PlainTable:
    """The grid as the backfill left it, and what could not be done."""
    from flows.printing.grid import grid_table

    table = grid_table(run.after)
    table.title = f"{run.outcome}, {run.scored} images scored, {run.mended} damages mended; {table.title}"
    told = [f"{problem.category} {problem.run_date or ''}: {problem.why}" for problem in run.problems[:_MOST_LINES]]
    table.notes = [*told, *table.notes]
    return table
