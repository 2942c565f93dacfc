"""The command line: rd-inspect.

Heavy packages are imported inside the commands, so that --help answers at once.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

RUN_FAILED = 1

app = typer.Typer(
    name="rd-inspect",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Nightly visual inspection with Reverse Distillation.

    Images of production days lie in a store, a local folder or S3. A model a category is trained on images labelled
    normal; every night's images are scored by it: anomaly maps in zarr, scores in Parquet, a report in HTML.

    A first day, by hand:

    * `rd-inspect import photos/cloth --category cloth --run-date 2026-11-21 --store ./plant`
    * `rd-inspect train --store ./plant`
    * `rd-inspect inspect --run-date 2026-11-21 --store ./plant`
    * `rd-inspect query "SELECT * FROM latest WHERE is_anomalous" --store ./plant`

    Or all of it on a generated factory: `rd-inspect demo`.

    Exit codes: 0 done, 1 the run failed, 2 wrong use.
    """,
)

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="RD_INSPECT_STORE",
        metavar="URI",
        help="Where everything we write goes: a folder such as ./plant, or s3://bucket/prefix "
        "(endpoint and keys from the usual AWS settings).",
    ),
]
ImagesOption = Annotated[
    str | None,
    typer.Option("--images", metavar="URI", help="The images' own store, read only, if they do not lie in --store."),
]
CategoriesOption = Annotated[
    list[str] | None,
    typer.Option("--category", metavar="NAME", help="Only this category; may be given again."),
]
DaskOption = Annotated[
    str | None,
    typer.Option("--dask-address", metavar="ADDRESS", help="Scheduler of a running Dask cluster; default: our own."),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show the log on a terminal too.")]
DATE_FORMATS = ["%Y-%m-%d"]


class Format(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def main() -> None:
    """Entry point of the console script."""
    app()


@app.command("import")
def import_folder(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="One category in the MVTec layout.")],
    category: Annotated[str, typer.Option("--category", metavar="NAME")],
    run_date: Annotated[datetime, typer.Option("--run-date", formats=DATE_FORMATS, help="Day of the test images.")],
    store: StoreOption = None,
    normals_date: Annotated[
        datetime | None,
        typer.Option("--normals-date", formats=DATE_FORMATS, help="Day of train/good; default: the day before."),
    ] = None,
) -> None:
    """Bring a folder of images into the store.

    `train/good/*` become labelled normals of the day before RUN_DATE, to train on. `test/<kind>/*` become RUN_DATE's
    images, with their labels; masks from `ground_truth/<kind>/*_mask.png` are kept beside. Doing it again changes
    nothing.
    """
    with _plain_errors():
        from flows.importing import import_category

        day = run_date.date()
        before = normals_date.date() if normals_date else day - timedelta(days=1)
        imported = import_category(_store(store), folder, category, day, before)
        _say(
            f"{category}: {imported.normals} labelled normals ({before}), {imported.test} images of {day} "
            f"({imported.anomalous} labelled anomalous, {imported.masks} masks)."
        )
        _say(f"Next: rd-inspect train --category {category} --store {_store(store)}")


@app.command()
def train(
    store: StoreOption = None,
    category: CategoriesOption = None,
    images: ImagesOption = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps; default: the recipe's.")] = None,
    image_size: Annotated[int | None, typer.Option(min=32, help="Pixels a side that the networks see.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Promised share of false alarms, such as 0.01.")] = None,
    recipe: Annotated[str | None, typer.Option(help="robust (default) or paper.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Frozen encoder; default efficientnet_lite0.")] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Put it in force even where a champion is.")] = False,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Train a model a category on its labelled normals.

    Normals are kept apart, whole parts at a time: most to train, some to stop early, some to set the threshold. The
    first version of a category becomes its champion; later ones are candidates unless `--promote` is given.
    """
    options = {
        "steps": steps, "image_size": image_size, "alpha": alpha, "recipe": recipe, "teacher": teacher,
    }  # fmt: skip
    with _plain_errors(), _server(verbose):
        from flows.training import train_model

        run = train_model(
            _store(store),
            category,
            images=images,
            promote=promote,
            dask_address=dask_address,
            options=options,
        )
        from flows.tables import training_table

        Console().print(training_table(run))
        _say(f"Next: rd-inspect inspect --run-date DATE --store {_store(store)}")


@app.command()
def inspect(
    run_date: Annotated[
        datetime | None,
        typer.Option("--run-date", formats=DATE_FORMATS, help="Production day; default: yesterday at the plant."),
    ] = None,
    store: StoreOption = None,
    category: CategoriesOption = None,
    images: ImagesOption = None,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Score one production day with the champions in force.

    Images that were scored before and have not changed are left alone, so a run that was interrupted goes on where it
    stopped. A file that cannot be read becomes a row with its error. Ends with a report.
    """
    with _plain_errors(), _server(verbose):
        day = run_date.date() if run_date else None
        if not _inspect_and_show(_store(store), day, category, images, dask_address):
            raise typer.Exit(RUN_FAILED)


@app.command()
def models(
    store: StoreOption = None,
    category: Annotated[str | None, typer.Option("--category", metavar="NAME")] = None,
    version: Annotated[str | None, typer.Option("--version", metavar="V", help="Show this version's card.")] = None,
) -> None:
    """List model versions and which is the champion; with --category and --version, print a model card as JSON."""
    with _plain_errors():
        from flows.tables import model_card_json, models_table

        if version and not category:
            raise typer.BadParameter("--version needs --category: versions are named within a category")
        if version and category:
            sys.stdout.write(model_card_json(_store(store), category, version) + "\n")
        else:
            Console().print(models_table(_store(store), category))


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL")],
    store: StoreOption = None,
    output_format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Ask the scores with SQL (DuckDB).

    Views: `latest` (each image's latest sealed score), `scores` (every sealed row), `labels`, `seals`. Rows of runs
    that were not completed never show.

    Example: `rd-inspect query "SELECT category, count(*) FROM latest WHERE is_anomalous GROUP BY category"`
    """
    with _plain_errors():
        from flows.tables import query_output

        query_output(_store(store), sql, output_format.value)


@app.command()
def demo(
    store: Annotated[str, typer.Option("--store", metavar="URI", help="Made anew.")] = "rd-inspect-demo",
    verbose: VerboseOption = False,
) -> None:
    """Generate a small factory, train, inspect three nights, show what was found.

    Woven cloth, brushed metal and a printed part; defects of several kinds; a night with broken files, a night under
    drifting light. Takes a few minutes on two cores.
    """
    with _plain_errors(), _server(verbose):
        from flows.demonstration import demonstrate

        demonstrate(store)


def _inspect_and_show(
    store: str, day: date | None, categories: list[str] | None, images: str | None, dask_address: str | None
) -> bool:
    """Inspect, print what was done; False when the run failed."""
    from flows.inspection import InspectionFailed, inspect_images
    from flows.tables import inspection_table

    failed = False
    try:
        run = inspect_images(store, day, categories, images=images, dask_address=dask_address)
    except InspectionFailed as e:
        run, failed = e.run, True
    Console().print(inspection_table(run))
    if run.report:
        _say(f"Report: {store.rstrip('/')}/{run.report}")
    return not failed


def _store(given: str | None) -> str:
    from flows.settings import store_uri

    return store_uri(given)


def _say(text: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Our own errors as one message and an exit code; anything else keeps its traceback, for it is a bug."""
    from flows.failures import exit_code_of

    try:
        yield
    except Exception as e:
        code = exit_code_of(e)
        if code is None:
            raise
        _say(f"rd-inspect: {e}")
        raise typer.Exit(code) from e


@contextmanager
def _server(verbose: bool) -> Iterator[None]:
    """The Prefect server of this command; on a terminal the bars speak and the log is quiet, else it is plain."""
    os.environ.setdefault("PREFECT_LOGGING_COLORS", "false")
    if sys.stderr.isatty() and not verbose:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    from flows.prefect_server import prefect_server

    with prefect_server():
        yield
