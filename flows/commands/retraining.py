"""`rd-inspect retrain`."""

from functools import partial
from typing import Annotated

import typer

from flows.commands.frame import (
    CategoriesOption,
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


def retrain(
    store: StoreOption = None,
    category: CategoriesOption = None,
    from_scratch: Annotated[
        bool,
        typer.Option("--from-scratch", help="Start from new weights; default: from the champion's."),
    ] = False,
    fewest_new: Annotated[
        int | None, typer.Option(min=8, help="Skip a category with fewer new normal images; default: 16.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps (reverse_distillation only); default: the recipe's.")
    ] = None,
    images: ImagesOption = None,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Train a candidate on newly labelled normal images, and promote it only if it proves better.

    It becomes the champion if it is proven not worse than the champion, better in at least one figure, and shown to
    keep its promised false-alarm rate, for which it takes some 60 to 200 good parts labelled for evaluation. New
    images are those labelled normal since the champion was trained. Wrong labels, near-duplicates and images with
    conflicting labels are left out and listed. Both models are judged on images that neither has seen, so label
    some good parts and some defects for evaluation.

    The report goes to `reports/retraining/<day>/<category>/<run>/`; the decision is kept with the model.

    Example:

    * `rd-inspect retrain --category cloth`

    Next: `rd-inspect models --history` shows the champions; `rd-inspect rollback --category cloth` goes back to
    the last.
    """
    options = None if steps is None else {"steps": steps}
    settings = check(store, category, images=images, dask_address=dask_address, options=options)
    with plain_errors():
        from flows.preflight.refusals import refuse_retraining

        refuse_retraining(settings, category)
    with plain_errors(), command_server(verbose, flow="flows.retraining", cluster=not dask_address):
        from flows.commands.tables.retraining import retraining_table
        from flows.retraining import retrain as retrain_models

        uri = resolved_store(store)
        work = partial(
            retrain_models, uri, category,
            images=images, from_scratch=from_scratch, dask_address=dask_address,
            options=options,
            limits=None if fewest_new is None else {"fewest_new": fewest_new},
        )  # fmt: skip
        show_run(work, partial(retraining_table, store=uri), uri)
