"""`rd-inspect models`."""

from typing import Annotated

import typer

from flows.commands.frame import StoreOption, plain_errors, resolved_store
from flows.printing.output import print_text
from flows.printing.plain_table import print_table


def models(
    store: StoreOption = None,
    category: Annotated[
        str | None, typer.Option("--category", metavar="NAME", help="Only this category; default: all.")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="V", help="Print the model card of this version.")
    ] = None,
    history: Annotated[
        bool,
        typer.Option("--history", help="List all champions, newest first, with who promoted them, when and how."),
    ] = False,
) -> None:
    """List the model versions of each category, and which one is its champion.

    A recalibrated version has a threshold of its own and the weights of another one, which is named.

    With `--category` and `--version`, print that version's model card as JSON.

    Examples:

    * `rd-inspect models`
    * `rd-inspect models --category cloth --history`

    Next: `rd-inspect promote` makes a version the champion.
    """
    with plain_errors():
        from flows.commands.tables.plant import history_table, model_card_json, models_table

        if version and not category:
            raise typer.BadParameter("--version needs --category: versions are named within a category")
        if history:
            print_table(history_table(resolved_store(store), category))
        elif version and category:
            print_text(model_card_json(resolved_store(store), category, version) + "\n")
        else:
            print_table(models_table(resolved_store(store), category))
