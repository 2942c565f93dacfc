"""The command that measures as the paper does: rd-inspect benchmark."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.frame import CategoriesOption, plain_errors
from flows.printing.output import print_text, say
from flows.printing.plain_table import print_table


class BenchmarkProtocol(StrEnum):
    """What the Reverse Distillation paper measures."""

    PAPER = "paper"
    NOVELTY = "novelty"


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
        from flows.preflight.refusals import refuse_benchmark

        refuse_benchmark(folder, teacher)
        from flows.commands.tables.benchmark import benchmark_tables
        from flows.paper.benchmark import BenchmarkFailed, BenchmarkSettings, run_benchmark, weights_by_teacher

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
            print_table(table)
            print_text("\n")
        say(f"Rows: {out} ({run.computed} new, {len(run.rows)} of these settings)")
        if run.problems:
            raise BenchmarkFailed("\n".join(run.problems))
