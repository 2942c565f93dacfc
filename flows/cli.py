"""The command line: rd-inspect.

Heavy packages are imported inside the commands, so that --help answers at once.
"""

import sys
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.commands.backfill import backfill, status
from flows.commands.compaction import compact
from flows.commands.frame import (
    DATE_FORMATS,
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
    say,
    show_run,
)
from flows.commands.import_folder import import_folder
from flows.commands.labels import import_label_file
from flows.commands.promotion import promote, rollback
from flows.commands.repair import gc, verify
from flows.commands.retraining import retrain
from flows.commands.review import serve_review

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
    * `rd-inspect evaluate --from 2026-11-21 --store ./plant`
    * `rd-inspect query "SELECT * FROM latest WHERE is_anomalous" --store ./plant`

    Or all of it on a generated factory: `rd-inspect demo`.

    Exit codes: 0 done; 1 something is missing or wrong, named in the last line, the rest is done; 2 wrong use, and
    nothing was started.
    """,
)


class Format(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def main() -> None:
    """Entry point of the console script."""
    app()


app.command("import")(import_folder)


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
    precision: Annotated[str | None, typer.Option(help="float32 (default) or bfloat16, quicker where it is.")] = None,
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
        "precision": precision,
    }  # fmt: skip
    check(store, category, images=images, dask_address=dask_address, options=options)
    with plain_errors(), command_server(verbose, dask_address):
        from flows.training import train_model

        run = train_model(
            resolved_store(store),
            category,
            images=images,
            promote=promote,
            dask_address=dask_address,
            options=options,
        )
        from flows.tables.plant import training_table

        Console().print(training_table(run))
        say(f"Next: rd-inspect inspect --run-date DATE --store {resolved_store(store)}")


@app.command()
def inspect(
    run_date: Annotated[
        datetime | None,
        typer.Option("--run-date", formats=DATE_FORMATS, help="Production day; default: yesterday at the plant."),
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
        from flows.preflight import checked_night

        checked_night(store, day_of(run_date), category, images=images, dask_address=dask_address)
    with plain_errors(), command_server(verbose, dask_address):
        from flows.inspection import inspect_images
        from flows.tables.plant import inspection_table

        uri, day = resolved_store(store), day_of(run_date)

        work = partial(inspect_images, uri, day, category, images=images, reports=reports, dask_address=dask_address)
        show_run(work, inspection_table, uri)


@app.command()
def evaluate(
    first_day: Annotated[
        datetime | None, typer.Option("--from", formats=DATE_FORMATS, help="First day; default: the last inspected.")
    ] = None,
    last_day: Annotated[
        datetime | None, typer.Option("--to", formats=DATE_FORMATS, help="Last day, included; default: the first.")
    ] = None,
    store: StoreOption = None,
    category: CategoriesOption = None,
    images: ImagesOption = None,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Tell how good the nights were, wherever images are labelled for evaluation.

    Reads the sealed scores and maps, the labels and the masks; no model is loaded and nothing is scored again, so it
    can be repeated whenever somebody has labelled more. Writes `reports/evaluation/<first>_<last>/`: an HTML report,
    and the same figures as JSON and Parquet.
    """
    days = (day_of(first_day), day_of(last_day))
    check(store, category, images=images, days=days, dask_address=dask_address)
    with plain_errors(), command_server(verbose, dask_address):
        from flows.evaluation import evaluate as evaluate_days
        from flows.tables.evaluation import evaluation_table

        uri, first, last = resolved_store(store), day_of(first_day), day_of(last_day)
        work = partial(evaluate_days, uri, first, last, category, images=images, dask_address=dask_address)
        show_run(work, evaluation_table, uri)


@app.command()
def drift(
    first_day: Annotated[
        datetime | None, typer.Option("--from", formats=DATE_FORMATS, help="First day; default: 30 days in all.")
    ] = None,
    last_day: Annotated[
        datetime | None, typer.Option("--to", formats=DATE_FORMATS, help="Last day; default: the last inspected.")
    ] = None,
    store: StoreOption = None,
    category: CategoriesOption = None,
    golden: Annotated[
        bool, typer.Option("--golden", help="Replay the golden images first; where there are none, choose some.")
    ] = False,
    defect_share: Annotated[
        float | None, typer.Option(help="Largest share of true defects on ordinary days; default 0.02.")
    ] = None,
    images: ImagesOption = None,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Tell whether light, focus, parts or model have drifted, and what to do: hold, recalibrate, retrain or stop.

    Compares the sealed scores of some days with the images that calibrated their model; a new model version begins a
    new baseline. Nothing is scored again, but for `--golden`. Writes `reports/drift/<first>_<last>/`: an HTML report,
    and the same figures as JSON and Parquet.
    """
    days = (day_of(first_day), day_of(last_day))
    check(store, category, images=images, days=days, dask_address=dask_address)
    with plain_errors(), command_server(verbose, dask_address):
        from flows.drift import report_drift
        from flows.tables.drift import drift_table

        uri, first, last = resolved_store(store), day_of(first_day), day_of(last_day)
        options = None if defect_share is None else {"defect_share": defect_share}
        work = partial(
            report_drift, uri, first, last, category,
            images=images, golden=golden, dask_address=dask_address, options=options,
        )  # fmt: skip
        show_run(work, drift_table, uri)


@app.command()
def models(
    store: StoreOption = None,
    category: Annotated[str | None, typer.Option("--category", metavar="NAME")] = None,
    version: Annotated[str | None, typer.Option("--version", metavar="V", help="Show this version's card.")] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Show who put which version in force, when and how, newest first.")
    ] = False,
) -> None:
    """List model versions and which is the champion; with --category and --version, print a model card as JSON."""
    with plain_errors():
        from flows.tables.plant import history_table, model_card_json, models_table

        if version and not category:
            raise typer.BadParameter("--version needs --category: versions are named within a category")
        if history:
            Console().print(history_table(resolved_store(store), category))
        elif version and category:
            sys.stdout.write(model_card_json(resolved_store(store), category, version) + "\n")
        else:
            Console().print(models_table(resolved_store(store), category))


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL")],
    store: StoreOption = None,
    output_format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Ask the scores with SQL (DuckDB).

    Views: `latest` (each image's latest sealed score), `scores` (every sealed row), `labels`, `seals`. Rows of runs
    that were not completed never show. It answers a single SELECT, PIVOT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN, and
    writes nothing. A second column of one name is shown as `name_1`. json: a row a line, NaN and infinity as null.
    csv: lists and structs as JSON, bytes in hex, nothing for NULL.

    A label file or a seal that does not read is named, and the answer is without it; exit code 1 if it was a seal.

    Example: `rd-inspect query "SELECT category, count(*) FROM latest WHERE is_anomalous GROUP BY category"`
    """
    with plain_errors():
        from flows.tables.query import query_output

        query_output(resolved_store(store), sql, output_format.value)


class BenchmarkProtocol(StrEnum):
    """What the Reverse Distillation paper measures."""

    PAPER = "paper"
    NOVELTY = "novelty"


@app.command()
def benchmark(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="All categories, or train/ and test/ of classes.")],
    out: Annotated[str, typer.Option("--out", metavar="FILE.parquet", help="Where the rows go; kept and added to.")],
    protocol: Annotated[
        BenchmarkProtocol, typer.Option("--protocol", help="Defects (section 4.1) or one-class novelty (4.2).")
    ] = BenchmarkProtocol.PAPER,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="Tables 5 to 7 too: five trainings for one.")
    ] = False,
    teacher: Annotated[str, typer.Option(help="Frozen encoder.")] = "wide_resnet50_2",
    teacher_weights: Annotated[
        list[str] | None,
        typer.Option(
            "--teacher-weights",
            metavar="FILE",
            help="Its ImageNet weights (.pth, .safetensors); NAME=FILE for a teacher of Table 6; may be given again.",
        ),
    ] = None,
    image_size: Annotated[int, typer.Option(min=32, help="Pixels a side that the networks see.")] = 256,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the normals; default: the paper's 200.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps, in place of epochs.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each, for the spread.")] = 1,
    category: CategoriesOption = None,
) -> None:
    """Measure as the Reverse Distillation paper does, and print its tables with the paper's figures beside ours.

    `--protocol paper`: FOLDER holds a folder a category in the MVTec layout (`train/good`, `test/good`,
    `test/<kind>`, `ground_truth/<kind>/<name>_mask.png`), as MVTec AD comes. `--protocol novelty`: FOLDER holds
    `train/<class>` and `test/<class>`; each class in turn is the normal one.

    Every figure is a row of FILE.parquet as soon as it is there. The same command goes on where it stopped; rows of
    other settings or images stay beside. Nothing of a plant's store is read or written.

    The paper's own setting takes hours on a GPU and days on a CPU. To try it: `rd-inspect benchmark mvtec --category
    bottle --teacher efficientnet_lite0 --image-size 128 --steps 100 --out try.parquet`
    """
    with plain_errors():
        from flows.paper_benchmark import BenchmarkFailed, BenchmarkSettings, run_benchmark, weights_by_teacher
        from flows.tables.benchmark import benchmark_tables

        settings = BenchmarkSettings(
            folder=folder,
            out=out,
            protocol=protocol.value,
            ablations=ablations,
            teacher=teacher,
            teacher_weights=weights_by_teacher(teacher_weights or [], teacher),
            image_size=image_size,
            epochs=epochs,
            steps=steps,
            seeds=seeds,
            categories=tuple(category or ()),
        )
        run = run_benchmark(settings)
        for table in benchmark_tables(run):
            Console().print(table, "")
        say(f"Rows: {out} ({run.computed} new, {len(run.rows)} of these settings)")
        if run.problems:
            raise BenchmarkFailed("\n".join(run.problems))


@app.command()
def demo(
    store: Annotated[str, typer.Option("--store", metavar="URI", help="Made anew.")] = "rd-inspect-demo",
    verbose: VerboseOption = False,
) -> None:
    """Generate a small factory, train, inspect three nights, show what was found.

    Woven cloth, brushed metal and a printed part; defects of several kinds; a night with broken files, a night under
    drifting light. Takes a few minutes on two cores.
    """
    with plain_errors(), command_server(verbose):
        from flows.demonstration import demonstrate

        demonstrate(store)


app.command("labels")(import_label_file)
app.command("review")(serve_review)
app.command("retrain")(retrain)
app.command("promote")(promote)
app.command("rollback")(rollback)
app.command("status")(status)
app.command("backfill")(backfill)
app.command("verify")(verify)
app.command("gc")(gc)
app.command("compact")(compact)
