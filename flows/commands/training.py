"""`rd-inspect train`."""

from collections.abc import Sequence
from datetime import date
from shlex import quote
from typing import TYPE_CHECKING, Annotated

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
)
from flows.printing.output import say
from flows.printing.plain_table import print_table

if TYPE_CHECKING:
    from tasks.training.fitted_model import FittedModel


def train(
    store: StoreOption = None,
    category: CategoriesOption = None,
    images: ImagesOption = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="Detection method (docs/methods.md); default: reverse_distillation; auto: as `compare` chooses.",
            metavar="NAME",
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=32, help="Side of the model's square input, pixels; default: by the images.")
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="Promised false-alarm rate, a share such as 0.01.")] = None,
    calibration: Annotated[
        str | None,
        typer.Option(help="Images that set the threshold: split (a quarter), cross (all), or auto (default)."),
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="Pretrained network that gives the features; default: efficientnet_lite0.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="float32 (default), or bfloat16, which is faster on some hardware.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps (reverse_distillation only); default: the recipe's.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Training recipe (reverse_distillation only): robust (default) or paper.")
    ] = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(
            help="Take all images of these production days as normal, though nobody labelled them.",
            metavar="DAY..DAY",
        ),
    ] = None,
    suggest_view: Annotated[
        bool,
        typer.Option("--suggest-view", help="Train nothing; show what image sizes and tiles keep, and cost."),
    ] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Make it the champion even if there is one.")] = False,
    dask_address: DaskOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Train one model for each category on its normal images.

    The images are divided by part: most train the model and some decide when to stop. Of many images others set the
    threshold; of few all do, each scored by a model that has not seen its part. Normal images that look like defects
    are set aside and named. A category's first version becomes its champion; later versions stay candidates unless
    `--promote` is given.

    Examples:

    * `rd-inspect train`
    * `rd-inspect train --category cloth --method patchcore --alpha 0.005`
    * `rd-inspect train --category cloth --suggest-view` trains nothing, and shows which image size would see what
    * `rd-inspect train --category cloth --unlabelled 2026-11-02..2026-11-06` starts from an unlabelled pile

    Next: `rd-inspect inspect --run-date 2026-11-21` scores a production day.
    """
    options = {
        "method": method, "image_size": image_size, "alpha": alpha, "calibration": calibration, "teacher": teacher,
        "precision": precision, "steps": steps, "recipe": recipe,
    }  # fmt: skip
    days = _days(unlabelled) if unlabelled else None
    settings = check(store, category, images=images, days=days or (), dask_address=dask_address, options=options)
    if suggest_view:
        with plain_errors():
            from flows.commands.tables.view_suggestion import view_table
            from flows.local.view_suggestion import labelled_categories, suggested_view

            for name in category or labelled_categories(settings):
                print_table(view_table(*suggested_view(settings, name)))
        return
    with plain_errors():
        from flows.preflight.refusals import refuse_training, refuse_unlabelled_training

        if days:
            for one in refuse_unlabelled_training(settings, category, *days):
                say(one.words)
        else:
            refuse_training(settings, category)
    with plain_errors(), command_server(verbose, flow="flows.training", cluster=not dask_address):
        from flows.training import train_model

        run = train_model(
            resolved_store(store),
            category,
            images=images,
            promote=promote,
            dask_address=dask_address,
            options=options,
            unlabelled=days,
        )
        from flows.commands.tables.training import training_table

        print_table(training_table(run, resolved_store(store)))
        say(f"Next: {next_command(run.models)} --store {quote(resolved_store(store))}")


def _days(text: str) -> tuple[date, date]:
    """(first, last) of `DAY..DAY` or one day."""
    first, _, last = text.partition("..")
    try:
        return date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError as e:
        raise typer.BadParameter(
            f"{text!r} are no days. Write them as 2026-11-02..2026-11-06.", param_hint="--unlabelled"
        ) from e


def next_command(models: "Sequence[FittedModel]") -> str:
    """A candidate scores no night until it is champion, so its scores are requested by its name."""
    candidate = next((model for model in models if not model.champion), None)
    if candidate is None:
        return "rd-inspect inspect --run-date DATE"
    return f"rd-inspect backfill --from DATE --to DATE --category {candidate.category} --model {candidate.version}"
