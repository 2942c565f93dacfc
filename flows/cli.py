"""The command line: rd-inspect.

Heavy packages are imported inside the commands, so that --help answers at once.
"""

import sys

import typer

from flows.commands.backfill import backfill, status
from flows.commands.benchmark import benchmark
from flows.commands.compaction import compact
from flows.commands.drift import drift
from flows.commands.evaluation import evaluate
from flows.commands.import_folder import import_folder
from flows.commands.labels import import_label_file
from flows.commands.models import models
from flows.commands.night import demo, inspect
from flows.commands.promotion import promote, rollback
from flows.commands.query import query
from flows.commands.repair import gc, verify
from flows.commands.retraining import retrain
from flows.commands.review import serve_review
from flows.commands.score import score
from flows.commands.training import train
from flows.commands.version import options_of_all
from flows.commands.wrong_use import PlainlyTold
from flows.errors import RUN_FAILED
from flows.machinery.interruption import run_guarded
from flows.printing.output import OutputLost, quiet_pipe, say, standard_output

app = typer.Typer(
    name="rd-inspect",
    cls=PlainlyTold,
    callback=options_of_all,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Nightly visual inspection by anomaly detection.

    Images of production days lie in a store, a local folder or S3. A model a category is trained on images labelled
    normal; every night's images are scored by it: anomaly maps in zarr, scores in Parquet, a report in HTML.

    A first day, by hand:

    * `export RD_INSPECT_STORE=./plant`
    * `rd-inspect import photos/cloth --category cloth --run-date 2026-11-21`
    * `rd-inspect train`
    * `rd-inspect inspect --run-date 2026-11-21`
    * `rd-inspect score photos/odd.png --category cloth`
    * `rd-inspect evaluate --from 2026-11-21`
    * `rd-inspect query "SELECT * FROM latest WHERE is_anomalous"`

    Or all of it on a generated factory: `rd-inspect demo`.

    Exit codes: 0 done; 1 something is missing or wrong, named in the last line, the rest is done; 2 wrong use, and
    nothing was started.
    """,
)


def main() -> None:
    """The whole of it, as its own process. The console script guards the imports of this module too (flows.entry)."""
    run_guarded(command_line, sys.argv[1:])


def command_line() -> None:
    """What `sys.argv` asks for. Raises SystemExit with the exit code."""
    sys.stdout = standard_output()
    try:
        with quiet_pipe():  # help, too
            app()
    except OutputLost as e:
        say(f"rd-inspect: {e}")
        raise SystemExit(RUN_FAILED) from e


app.command("import")(import_folder)
app.command("train")(train)
app.command("inspect")(inspect)
app.command("score")(score)
app.command("evaluate")(evaluate)
app.command("drift")(drift)
app.command("models")(models)
app.command("query")(query)
app.command("benchmark")(benchmark)
app.command("demo")(demo)
app.command("labels")(import_label_file)
app.command("review")(serve_review)
app.command("retrain")(retrain)
app.command("promote")(promote)
app.command("rollback")(rollback)
app.command("status")(status)
app.command("backfill")(backfill)
app.command("verify")(verify)
app.command("gc")(gc)
app.command("compact")(compact)
