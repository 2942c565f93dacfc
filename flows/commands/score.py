"""The command that scores files at once: rd-inspect score."""

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.frame import StoreOption, plain_errors, resolved_store
from flows.commands.query import Format


def score(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Pictures, folders, patterns in quotes ('photos/**/*.png'), or - for names on standard input.",
            show_default=False,
        ),
    ],
    category: Annotated[str, typer.Option("--category", metavar="NAME", help="Whose model judges them.")],
    store: StoreOption = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="VERSION", help="A version; default: the one in force.")
    ] = None,
    output_format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the rows to a new file instead: .csv, .parquet or .json."),
    ] = None,
    overlays: Annotated[
        Path | None,
        typer.Option("--overlays", metavar="FOLDER", help="Draw each picture with its anomaly map into this folder."),
    ] = None,
) -> None:
    """Say of pictures on this machine, now, whether their parts look good.

    A model that `rd-inspect train` made scores them as a night would: the same scores, without a server, and nothing
    is written to the store. Each row is printed as soon as it is there: `accept`, `review` (too close to the
    threshold to be sure) or `reject`. Of a folder everything below it is scored but what systems leave behind
    (`.DS_Store`, `*.part`, ...). Standard input has a name a line, or each ended by a NUL as of `find -print0`.

    A picture that cannot be read is a row that says why. csv, json and `--out` have all columns of a score row that
    need no store; `--out` is there only once it is whole.

    Examples:

    * `rd-inspect score photo.png --category cloth`
    * `rd-inspect score photos/ --category cloth --overlays seen/`
    * `find photos -mmin -5 -name '*.png' | rd-inspect score - --category cloth --out scores.parquet`

    Next: `rd-inspect import` brings pictures into the store, `rd-inspect inspect` scores a day of it for good.

    Exit codes: 0 all were scored; 1 some could not be, named in the last line; 2 wrong use, and nothing was started.
    """
    with plain_errors():
        from flows.local.file_scoring import ScoringRequest, score_now

        score_now(
            ScoringRequest(
                names=tuple(paths),
                store_uri=resolved_store(store),
                category=category,
                version=model,
                output_format=output_format.value,
                out=out,
                overlays=overlays,
            )
        )
