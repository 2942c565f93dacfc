"""The command that shows all on a generated factory: rd-inspect demo."""

from typing import Annotated

import typer

from flows.commands.frame import VerboseOption, command_server, plain_errors


def demo(
    store: Annotated[str, typer.Option("--store", metavar="URI", help="Made anew.")] = "rd-inspect-demo",
    verbose: VerboseOption = False,
) -> None:
    """Generate a small factory, train, inspect five nights, show what was found.

    Woven cloth, brushed metal and a printed part; a few defects of several kinds; a night with broken files, a night
    on which a lamp fails. Takes a few minutes on two cores.
    """
    with plain_errors():
        from flows.preflight.refusals import refuse_demo

        refuse_demo(store)
    with plain_errors(), command_server(verbose, flow="flows.demonstration", cluster=True):
        from flows.demonstration import demonstrate

        demonstrate(store)
