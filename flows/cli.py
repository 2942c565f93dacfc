"""The command line: rd-inspect.

Heavy packages are imported inside the commands, so that --help answers at once.
"""

import sys
from collections.abc import Callable

import typer

from flows.commands.backfill import backfill, status
from flows.commands.benchmark import benchmark
from flows.commands.compaction import compact
from flows.commands.comparison import compare
from flows.commands.drift import drift
from flows.commands.evaluation import evaluate
from flows.commands.import_folder import import_folder
from flows.commands.labels import import_label_file
from flows.commands.models import models
from flows.commands.night import demo, inspect
from flows.commands.promotion import promote, rollback
from flows.commands.query import query
from flows.commands.recalibration import recalibrate
from flows.commands.regions import regions
from flows.commands.repair import gc, verify
from flows.commands.retraining import retrain
from flows.commands.review import serve_review
from flows.commands.score import score
from flows.commands.training import train
from flows.commands.version import options_of_all
from flows.commands.wrong_use import PlainCommand, PlainGroup
from flows.errors import RUN_FAILED
from flows.machinery.interruption import run_guarded
from flows.printing.output import OutputLost, quiet_pipe, say, standard_output

app = typer.Typer(
    name="rd-inspect",
    cls=PlainGroup,
    callback=options_of_all,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Find defects in photographs of parts, with models that have learned from good parts.

    Every night, each product's model scores the images of the production day and decides: accept, review or reject.
    Images, models, scores, anomaly maps and HTML reports lie in one store: a local folder or an S3 prefix.

    A first day:

    * `export RD_INSPECT_STORE=./plant`
    * `rd-inspect import photos --category cloth --run-date 2026-11-21`
    * `rd-inspect train`
    * `rd-inspect inspect --run-date 2026-11-21`
    * `rd-inspect query "SELECT * FROM latest WHERE is_anomalous"`

    Without images of your own: `rd-inspect demo`.

    A category is a product, or a view of it, with a model of its own. Its champion is the model version in force.

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


_COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Set up": {"demo": demo, "import": import_folder, "train": train},
    "Every day": {
        "inspect": inspect, "score": score, "status": status, "backfill": backfill, "query": query,
        "review": serve_review, "regions": regions, "labels": import_label_file, "evaluate": evaluate, "drift": drift,
    },
    "Models": {
        "models": models, "compare": compare, "retrain": retrain, "recalibrate": recalibrate, "promote": promote,
        "rollback": rollback, "benchmark": benchmark,
    },
    "Store": {"verify": verify, "compact": compact, "gc": gc},
}  # fmt: skip
"""panels of the help, in the order in which a user meets them"""
for _panel, _commands in _COMMANDS.items():
    for _name, _function in _commands.items():
        app.command(_name, cls=PlainCommand, rich_help_panel=_panel)(_function)
