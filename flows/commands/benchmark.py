"""`rd-inspect benchmark`: measurements as in the Reverse Distillation paper, of its method or another."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.frame import CategoriesOption, plain_errors
from flows.printing.output import print_text, say
from flows.printing.plain_table import print_table


class BenchmarkProtocol(StrEnum):
    """Measurements of the Reverse Distillation paper."""

    PAPER = "paper"
    NOVELTY = "novelty"


def benchmark(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of the categories, or with train/ and test/ of classes.")
    ],
    out: Annotated[
        str, typer.Option("--out", metavar="FILE.parquet", help="File for the rows; an existing one is added to.")
    ],
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="What to measure; any method of docs/methods.md.")
    ] = "reverse_distillation",
    protocol: Annotated[
        BenchmarkProtocol,
        typer.Option("--protocol", help="paper: defects (section 4.1); novelty: one-class novelty (4.2)."),
    ] = BenchmarkProtocol.PAPER,
    ablations: Annotated[
        bool,
        typer.Option("--ablations", help="Also measure tables 5 to 7 of the paper's own method: five trainings."),
    ] = False,
    teacher: Annotated[
        str | None, typer.Option(help="Pretrained network that gives the features; default: the paper's.")
    ] = None,
    teacher_weights: Annotated[
        list[str] | None,
        typer.Option(
            "--teacher-weights",
            metavar="FILE",
            help="Its ImageNet weights (.pth, .safetensors); NAME=FILE for a teacher of table 6; may be repeated.",
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=32, help="Side of the model's square input, pixels; default: the paper's.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the normal images; default: as many as the paper.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps, instead of --epochs.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the method, as TOML; may be repeated."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each model, for the spread.")] = 1,
    category: CategoriesOption = None,
) -> None:
    """Measure on a data set as the Reverse Distillation paper does, and print its tables.

    The paper's figures stand beside ours. `--protocol paper`: FOLDER has a folder for each category in the layout
    of MVTec AD (`train/good`, `test/good`, `test/<kind>`, `ground_truth/<kind>/<name>_mask.png`).
    `--protocol novelty`: FOLDER has `train/<class>` and `test/<class>`; each class in turn is the normal one.

    Every figure becomes a row of the `--out` file at once. The same command continues where it stopped; rows of
    other settings or images stay. No store is read or written. The paper's settings take hours on a GPU and days
    on a CPU.

    Examples:

    * `rd-inspect benchmark mvtec --out mvtec.parquet`
    * `rd-inspect benchmark mvtec --category bottle --steps 100 --out a.parquet`
    * `rd-inspect benchmark mvtec --method padim --out mvtec.parquet`

    Next: `rd-inspect train` trains on your own images.
    """
    with plain_errors():
        from flows.preflight.refusals import refuse_benchmark

        refuse_benchmark(folder, method, teacher)
        from flows.commands.tables.benchmark import benchmark_tables
        from flows.paper.benchmark import (
            BenchmarkFailed,
            BenchmarkSettings,
            changes_of,
            run_benchmark,
            teacher_of_paper,
            weights_by_teacher,
        )

        settings = BenchmarkSettings(
            folder=folder,
            out=out,
            method=method,
            protocol=protocol.value,
            ablations=ablations,
            teacher=teacher,
            teacher_weights=weights_by_teacher(teacher_weights or [], teacher or teacher_of_paper(method)),
            image_size=image_size,
            epochs=epochs,
            steps=steps,
            changes=changes_of(changes or []),
            seeds=seeds,
            categories=tuple(category or ()),
        )
        run = run_benchmark(settings)
        for table in benchmark_tables(run):
            print_table(table)
            print_text("\n")
        say(f"Rows: {out} ({run.computed} new, {len(run.rows)} of these settings)")
        if run.problems:
            raise BenchmarkFailed("\n".join(run.problems))
