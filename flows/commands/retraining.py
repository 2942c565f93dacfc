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
        typer.Option("--from-scratch", help="Draw the networks anew; default: go on from the champion's weights."),
    ] = False,
    fewest_new: Annotated[
        int | None, typer.Option(min=8, help="New normals without which a category is left as it is; default 16.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of reverse_distillation; default: its recipe's.")] = None,
    images: ImagesOption = None,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Refit models on newly labelled normals; a candidate that is proven not worse, and better in something, comes
    into force.

    New normals are those labelled normal since the champion was trained. Wrong labels, near-duplicates and images
    that people disagree on are left out, and told. Candidate and champion are compared on images that neither has
    seen: label good and defective ones for evaluation. Writes `reports/retraining/<day>/<category>/<run>/`, and
    keeps the decision with the model. To go back: `rd-inspect rollback --category C`.
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
