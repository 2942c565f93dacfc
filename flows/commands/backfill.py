"""`rd-inspect status` and `rd-inspect backfill`: which days are scored, and scoring the others."""

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
"""problems printed; the log has all"""
FromOption = Annotated[
    datetime | None,
    typer.Option("--from", formats=DATE_FORMATS, metavar=DAY, help="First day; default: 29 days before the last."),
]
ToOption = Annotated[
    datetime | None,
    typer.Option(
        "--to", formats=DATE_FORMATS, metavar=DAY, help="Last day, included; default: the last day with images."
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="V", help="Model version of the one --category; default: the champion."),
]


class GridFormat(StrEnum):
    """Formats of a grid or of findings."""

    TABLE = "table"
    JSON = "json"


FormatOption = Annotated[GridFormat, typer.Option("--format", help="Format of the output.")]


def status(
    first_day: FromOption = None,
    last_day: ToOption = None,
    store: StoreOption = None,
    category: CategoriesOption = None,
    model: ModelOption = None,
    images: ImagesOption = None,
    output_format: FormatOption = GridFormat.TABLE,
) -> None:
    """Show which production days of each category are scored.

    `done`: complete, every image has a row. `partly 7/9`: it was complete, but images came late or changed since.
    `failed`: a run began and did not finish. `missing`: no run of this model version began. `training`: all images
    are to train on, so there is nothing to score. `-`: no images. A category whose model in force has another
    ignored region than the one drawn last is named, with what to do. Only the store is read: it is not changed, and
    no server is needed. In a copied or restored store, the images of these days are read once to see that they are
    the same.

    Example:

    * `rd-inspect status --from 2026-11-01`

    Next: `rd-inspect backfill` scores what is left.
    """
    with plain_errors():
        from flows.preflight.checks import checked_settings
        from flows.printing.grid import grid_json, grid_table

        days = (day_of(first_day), day_of(last_day))
        settings = checked_settings(store, category, images=images, days=days)
        grid = _grid(settings, days, category, model)
        regions = _regions_to_do(settings, grid)
        if output_format is GridFormat.JSON:
            print_text(json.dumps({**grid_json(grid), "regions_to_do": regions}, indent=2) + "\n")
        else:
            table = grid_table(grid)
            table.notes += regions.values()
            print_table(table)


def _regions_to_do(settings: "Settings", grid: "Grid") -> dict[str, str]:
    """By category, what is left to do about its ignored region."""
    from storage.filesystem import open_store
    from tasks.training.region_state import region_to_do

    store = open_store(settings.store, read_only=True)
    words = {name: region_to_do(store, name) for name in dict.fromkeys(cell.category for cell in grid.cells)}
    return {name: what for name, what in words.items() if what}


def _grid(
    settings: "Settings", days: tuple[date | None, date | None], category: list[str] | None, model: str | None
) -> "Grid":
    from flows.commands.frame import first_then_count
    from flows.preflight.grid_choice import chosen_categories, chosen_days, versions_in_force
    from storage.analysis.grid import read_grid
    from storage.filesystem import open_store

    opened = open_store(settings.store, read_only=True)
    opened.check()
    chosen = chosen_categories(settings, category)
    window = chosen_days(settings, chosen, *days)
    versions = versions_in_force(opened, chosen, model)
    line = open_store(settings.images, read_only=True)
    with first_then_count(say) as tell:
        return read_grid(open_store(settings.store), line, *window, versions, tell=tell)


def _dry_run(
    settings: "Settings", days: tuple[date | None, date | None], category: list[str] | None, model: str | None
) -> PlainTable:
    """What would be scored, without a server or a worker."""
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
    oldest_first: Annotated[
        bool, typer.Option("--oldest-first", help="Begin with the oldest day; default: the newest.")
    ] = False,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, metavar="N", help="Days that are scored at the same time.")
    ] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which days would be scored.")] = False,
    mend: Annotated[
        bool,
        typer.Option(
            "--mend", help="Also read the score files and maps of complete days, and score damaged batches anew."
        ),
    ] = False,
    redecide: Annotated[
        bool,
        typer.Option(
            "--redecide",
            help="First decide anew by the scores of versions with the same weights and view; score the rest.",
        ),
    ] = False,
    images: ImagesOption = None,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Score every production day of a period that is not complete.

    All days of a category are scored by the model that was champion at the start. Complete days are left alone, so
    the same command continues after any interruption, and does nothing when all is done. Another `--model` adds
    its own scores to old days and removes none. After a recalibration, `--redecide` keeps the scores and decides
    by the new threshold; the earlier decisions stay too. A nightly run on the same Dask cluster goes first. Exit
    code 1 if something is left undone.

    Examples:

    * `rd-inspect backfill --from 2026-11-01 --to 2026-11-21 --dry-run`
    * `rd-inspect backfill --from 2026-11-01 --to 2026-11-21`

    Next: `rd-inspect status` shows the same days.
    """
    days = (day_of(first_day), day_of(last_day))
    settings = check(store, category, images=images, days=days, dask_address=dask_address)
    with plain_errors():
        from flows.preflight.refusals import refuse_backfill

        refuse_backfill(settings, *days, category, model, redecide=redecide)
        if dry_run:
            print_table(_dry_run(settings, days, category, model))
            return
    with plain_errors(), command_server(verbose, flow="flows.backfill"):
        from flows.backfill import backfill as backfill_days

        uri = resolved_store(store)
        work = partial(
            backfill_days, uri, day_of(first_day), day_of(last_day), category,
            model=model, oldest_first=oldest_first, at_once=at_once, mend=mend,
            redecide=redecide, images=images, dask_address=dask_address,
        )  # fmt: skip
        show_run(work, _table, uri)


def _table(run: "BackfillRun") -> PlainTable:
    """The grid after the backfill, and what could not be done."""
    from flows.backfill import done_in_words
    from flows.printing.grid import grid_table

    table = grid_table(run.after)
    table.title = f"{run.outcome}, {done_in_words(run)}; {table.title}"
    lines = [f"{problem.category} {problem.run_date or ''}: {problem.why}" for problem in run.problems[:_MOST_LINES]]
    table.notes = [*lines, *table.notes]
    return table
