"""`rd-inspect score`."""

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
            help="Images, folders, quoted patterns ('photos/**/*.png'), or - for names on standard input.",
            show_default=False,
        ),
    ],
    category: Annotated[
        str, typer.Option("--category", metavar="NAME", help="Category whose model scores the images.")
    ],
    store: StoreOption = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="VERSION", help="Model version; default: the champion.")
    ] = None,
    output_format: Annotated[
        Format, typer.Option("--format", help="Format of the rows that are printed.")
    ] = Format.TABLE,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write the rows to this new file, .csv, .parquet or .json, instead."
        ),
    ] = None,
    overlays: Annotated[
        Path | None,
        typer.Option("--overlays", metavar="FOLDER", help="Write each image with its anomaly map into this folder."),
    ] = None,
) -> None:
    """Score image files on this machine now, and print accept, review or reject for each.

    A trained model gives them the scores that a night would. No server is started, and nothing is written to the
    store. `review` means that the score is too close to the threshold to be sure. Folders are searched to every
    depth, without the files that systems leave behind (`.DS_Store`, `*.part`, ...). Standard input has a name a
    line, or names that end with NUL, as `find -print0` writes them.

    An image that cannot be read is a row with the reason. csv, json and `--out` have all columns of a score row
    that need no store. The file of `--out` appears only when it is whole.

    Examples:

    * `rd-inspect score photo.png --category cloth`
    * `rd-inspect score photos/ --category cloth --overlays seen/`
    * `find photos -mmin -5 -name '*.png' | rd-inspect score - --category cloth`

    Next: `rd-inspect import` brings images into the store; `rd-inspect inspect` scores a day of them and keeps the
    scores.

    Exit codes: 0 all were scored; 1 some could not be, and the last line names them; 2 wrong use, nothing was
    started.
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
