"""What the commands share: options, plain errors, the Prefect server, and the end of a run.

Heavy packages are imported inside the functions, so that --help answers at once.
"""

import atexit
import gc
import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer

from flows.errors import RUN_FAILED, PartlyDone
from flows.printing.output import say
from flows.printing.plain_table import PlainTable, print_table

if TYPE_CHECKING:
    from flows.settings import Settings

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="RD_INSPECT_STORE",
        metavar="URI",
        help="Where models, scores, labels and reports are kept: a folder, or s3://bucket/prefix "
        "(endpoint and keys from the usual AWS settings).",
    ),
]
ImagesOption = Annotated[
    str | None,
    typer.Option("--images", metavar="URI", help="Folder or S3 prefix of the images, only read; default: --store."),
]
CategoriesOption = Annotated[
    list[str] | None,
    typer.Option("--category", metavar="NAME", help="Only this category, may be repeated; default: all."),
]
DaskOption = Annotated[
    str | None,
    typer.Option(
        "--dask-address",
        envvar="RD_INSPECT_DASK_ADDRESS",
        metavar="ADDRESS",
        help="Scheduler of a running Dask cluster, host:port; default: workers on this machine.",
    ),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show the log lines on a terminal too.")]
DATE_FORMATS, DAY = ["%Y-%m-%d"], "YYYY-MM-DD"


class Reported(Protocol):
    """A run of a flow."""

    @property
    def report(self) -> str | None:
        """Key of its HTML report, if it wrote one."""


R = TypeVar("R", bound=Reported)


def check(
    store: str | None,
    category: list[str] | None = None,
    *,
    images: str | None = None,
    days: Sequence[date | None] = (),
    dask_address: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> "Settings":
    """The checked settings. What can be refused before a server or worker starts is refused, with exit code 2;
    each command's own refusals are in `flows.preflight.refusals`."""
    with plain_errors():
        from flows.preflight.checks import checked_settings, refuse_dead_cluster

        given = {"dask_address": dask_address, **(options or {})}
        settings = checked_settings(store, category, images=images, days=days, options=given)
        refuse_dead_cluster(settings)
        return settings


def show_run(work: Callable[[], R], table: Callable[[R], PlainTable], store: str) -> None:
    """Run a flow and print its result. If only a part was done, the command fails, and its last line says what is
    missing."""
    failed: PartlyDone | None = None
    try:
        run = work()
    except PartlyDone as e:
        run, failed = e.run, e
    print_table(table(run))
    if run.report:
        say(f"Report: {store.rstrip('/')}/{run.report}")
    if failed:
        say(f"rd-inspect: {failed}")
        raise typer.Exit(RUN_FAILED)


def day_of(given: datetime | None) -> date | None:
    """The day of a date option; typer has no dates without a time."""
    return given.date() if given else None


def resolved_store(given: str | None) -> str:
    """The store of --store or RD_INSPECT_STORE. Raises SettingsError without either, TransientFault if it does not
    answer."""
    from flows.preflight.reachable import answering

    return answering(given)


def meanings(given: list[str]) -> dict[str, str]:
    """Meanings from the options --word NAME=WORD."""
    pairs = [pair.rpartition("=") for pair in given]
    wrong = [pair for pair, (name, equals, _) in zip(given, pairs, strict=True) if not equals or not name.strip()]
    if wrong:
        raise typer.BadParameter(f"--word {wrong[0]!r} is not NAME=WORD, such as Kratzer=anomalous")
    words: dict[str, str] = {}
    for name, _, word in pairs:
        if words.setdefault(name, word.strip()) != word.strip():
            raise typer.BadParameter(
                f"--word {name!r} has two meanings, {words[name]} and {word.strip()}. Give it one meaning."
            )
    return words


@contextmanager
def first_then_count(say: Callable[[str], object]) -> Iterator[Callable[[str], None]]:
    """Say only the first message of `storage.partitions.same_images.compare`, then count the others; from any
    thread."""
    count, lock = 0, Lock()

    def tell(text: str) -> None:
        nonlocal count
        with lock:
            count += 1
            first = count == 1
        if first:
            say(text)

    yield tell
    if count > 1:
        others = count - 1
        say(f"Likewise those of {others:,} more {'day' if others == 1 else 'days'}, counted by category.")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Print our own errors as one message with an exit code; any other error is a bug and keeps its traceback."""
    from flows.commands.failures import exit_code_of

    try:
        yield
    except (typer.Exit, typer.BadParameter):
        raise  # exit_code_of would import the networks
    except Exception as e:
        code = exit_code_of(e)
        if code is None:
            raise
        say(f"rd-inspect: {e}")
        raise typer.Exit(code) from e


@contextmanager
def command_server(verbose: bool, *, flow: str, cluster: bool = False) -> Iterator[None]:
    """The Prefect server of this command. On a terminal, bars are shown and the log is quiet; elsewhere the log is
    plain.

    While an embedded server starts, the module of `flow` is imported, and with `cluster` what the workers need.
    """
    os.environ.setdefault("PREFECT_LOGGING_COLORS", "false")
    if sys.stderr.isatty() and not verbose:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    from flows.machinery.interruption import held
    from flows.prefect_server import prefect_server

    if cluster:
        from flows.machinery.worker_start import begin_imports

        begin_imports()
    with held(), prefect_server(partial(_import, flow)), _errors_once():
        yield


def _import(module: str) -> None:
    """Import without garbage collection, a fifth faster: the heap only grows, and Python would search it again and
    again."""
    gc.disable()
    try:
        importlib.import_module(module)
    finally:
        gc.freeze()
        atexit.register(
            gc.unfreeze
        )  # objects that are frozen when Python ends are never released, and DuckDB complains
        gc.enable()


class _ErrorOnce(logging.Filter):
    """A filter for the log of flow runs: an error with a plain message loses its traceback, and Prefect's
    repetition of it is marked, because the command prints it as its last line."""

    def __init__(self) -> None:
        super().__init__()
        self._printed: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """All records pass."""
        from flows.commands.failures import exit_code_of

        error, text = record.exc_info[1] if record.exc_info else None, record.getMessage()
        if isinstance(error, Exception) and exit_code_of(error) is not None:
            record.exc_info = None
            if text.startswith("Encountered exception during execution"):
                self._printed.add(f"Flow run encountered an exception: {type(error).__name__}:")
                record.is_the_last_line = True
        elif any(error_text in text for error_text in self._printed):  # the run's final state
            record.is_the_last_line = True
        return True


def _is_not_the_last_line(record: logging.LogRecord) -> bool:
    return not getattr(record, "is_the_last_line", False)


@contextmanager
def _errors_once() -> Iterator[None]:
    """On the console only; the Prefect server's log has everything."""
    from prefect.logging.handlers import PrefectConsoleHandler

    log, once = logging.getLogger("prefect.flow_runs"), _ErrorOnce()
    consoles = [handler for handler in logging.getLogger().handlers if isinstance(handler, PrefectConsoleHandler)]
    log.addFilter(once)
    for console in consoles:
        console.addFilter(_is_not_the_last_line)
    try:
        yield
    finally:
        for console in consoles:
            console.removeFilter(_is_not_the_last_line)
        log.removeFilter(once)
