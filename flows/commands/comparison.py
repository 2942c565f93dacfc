"""`rd-inspect compare`."""

from functools import partial
from typing import Annotated

import typer

from flows.commands.frame import (
    DaskOption,
    ImagesOption,
    StoreOption,
    VerboseOption,
    check,
    command_server,
    plain_errors,
    resolved_store,
    show_run,
)


def compare(
    category: Annotated[str, typer.Option("--category", metavar="NAME", help="Category whose images decide.")],
    store: StoreOption = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method", metavar="NAME", help="Only this method (docs/methods.md), may be repeated; default: all."
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="Trainings of each method, 1 to 10, each with other random numbers.")
    ] = 1,
    promote: Annotated[
        bool,
        typer.Option("--promote", help="Train the named method on all good images; the gate may make it champion."),
    ] = False,
    images: ImagesOption = None,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Compare the detection methods on a category's own labelled images.

    Every method is trained on the same good images and gets its threshold in the same way. All are judged on the same
    labelled images, from which none has learned: label good parts and defects for evaluation. Half of the parts
    choose the method, and the other half report its figures, because a choice by luck looks too good on the images
    that made it. A method is named if it is better than all others beyond chance, or else as the cheapest of those
    that are not worse. With fewer than 32 parts of good and of defective images none is named, and the report says
    how many to label. Where no defect is labelled, defects are drawn into good images and marked as drawn.

    It takes as long as all trainings together: with all methods from ten minutes to hours on two cores. Nothing is
    put in force unless `--promote` is given: then a model of the named method is trained on all good images, and the
    gate compares it with the champion on images that chose nothing. A repeated command goes on with what is finished,
    and trains only what is new. The report and all scores go to `comparisons/<category>/`.

    Examples:

    * `rd-inspect compare --category cloth`
    * `rd-inspect compare --category cloth --method padim --method patchcore`
    * `rd-inspect compare --category cloth --seeds 3`

    Next: `rd-inspect train --category cloth --method patchcore` trains a model of the method that was named.
    """
    settings = check(store, [category], images=images, dask_address=dask_address)
    with plain_errors():
        from flows.preflight.refusals import refuse_comparison

        refuse_comparison(settings, category, method, seeds)
    with plain_errors(), command_server(verbose, flow="flows.comparison", cluster=not dask_address):
        from flows.commands.tables.comparison import comparison_table
        from flows.comparison import compare_methods

        uri = resolved_store(store)
        work = partial(
            compare_methods, uri, category,
            images=images, methods=method, seeds=seeds, promote=promote, dask_address=dask_address,
        )  # fmt: skip
        show_run(work, comparison_table, uri)
