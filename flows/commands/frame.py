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
    """The settings, once all is refused that can be told before a server or a worker is started: exit code 2. What a
    command refuses besides is in `flows.preflight.refusals`."""
    with plain_errors():
        from flows.preflight.checks import checked_settings, refuse_dead_cluster

        given = {"dask_address": dask_address, **(options or {})}
        settings = checked_settings(store, category, images=images, days=days, options=given)
        refuse_dead_cluster(settings)
        return settings


def show_run(work: Callable[[], R], table: Callable[[R], PlainTable], store: str) -> None:
    """Run a flow and print what it did, also when that was only a part: the command then ends as failed, and its last
    line says what is missing."""
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
    """The day of a date option; typer knows no dates without a time."""
    return given.date() if given else None


def resolved_store(given: str | None) -> str:
    """The store that --store or RD_INSPECT_STORE names. Raises SettingsError without either, TransientFault if nobody
    listens there."""
    from flows.preflight.reachable import answering

    return answering(given)


def meanings(given: list[str]) -> dict[str, str]:
    """What the options --word NAME=WORD say."""
    pairs = [pair.rpartition("=") for pair in given]
    wrong = [pair for pair, (name, said, _) in zip(given, pairs, strict=True) if not said or not name.strip()]
    if wrong:
        raise typer.BadParameter(f"--word {wrong[0]!r} is not NAME=WORD, such as Kratzer=anomalous")
    said: dict[str, str] = {}
    for name, _, word in pairs:
        if said.setdefault(name, word.strip()) != word.strip():
            raise typer.BadParameter(f"--word {name!r} is said to mean {said[name]} and {word.strip()}. Say one.")
    return said


@contextmanager
def told_once(say: Callable[[str], object]) -> Iterator[Callable[[str], None]]:
    """For `storage.partitions.same_images.compare`, which tells of each day of each category; from any thread."""
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
    """Our own errors as one message and an exit code; anything else keeps its traceback, for it is a bug."""
    from flows.commands.failures import exit_code_of

    try:
        yield
    except (typer.Exit, typer.BadParameter):
        raise  # of our own: to look for their kind would import the networks
    except Exception as e:
        code = exit_code_of(e)
        if code is None:
            raise
        say(f"rd-inspect: {e}")
        raise typer.Exit(code) from e


@contextmanager
def command_server(verbose: bool, *, flow: str, cluster: bool = False) -> Iterator[None]:
    """The Prefect server of this command; on a terminal the bars speak and the log is quiet, else it is plain.

    While an embedded one starts, the module of the command's `flow` is imported; and, where it will need a `cluster`
    of its own, what the workers need, too.
    """
    os.environ.setdefault("PREFECT_LOGGING_COLORS", "false")
    if sys.stderr.isatty() and not verbose:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    from flows.machinery.interruption import held
    from flows.machinery.prefect_server import prefect_server

    if cluster:
        from flows.machinery.worker_start import begin_imports

        begin_imports()
    with held(), prefect_server(partial(_import, flow)), _told_once():
        yield


def _import(module: str) -> None:
    """A fifth sooner than Python does by itself: it searches a heap that only grows for garbage, again and again."""
    gc.disable()
    try:
        importlib.import_module(module)
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # what is frozen when Python ends is never taken down, of which DuckDB complains
        gc.enable()


class _OursOnce(logging.Filter):
    """Of the log of flow runs: an error whose message says all is told without the lines of code that led to it, and
    what Prefect says of it is marked, for the command says it in its last line."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """All go on."""
        from flows.commands.failures import exit_code_of

        error, text = record.exc_info[1] if record.exc_info else None, record.getMessage()
        if isinstance(error, Exception) and exit_code_of(error) is not None:
            record.exc_info = None
            if text.startswith("Encountered exception during execution"):
                self._told.add(f"Flow run encountered an exception: {type(error).__name__}:")
                record.is_told_at_the_end = True
        elif any(error_text in text for error_text in self._told):  # the state that the run finished in
            record.is_told_at_the_end = True
        return True


def _is_not_told_at_the_end(record: logging.LogRecord) -> bool:
    return not getattr(record, "is_told_at_the_end", False)


@contextmanager
def _told_once() -> Iterator[None]:
    """On the console; the log that the Prefect server keeps has all of it."""
    from prefect.logging.handlers import PrefectConsoleHandler

    log, once = logging.getLogger("prefect.flow_runs"), _OursOnce()
    consoles = [handler for handler in logging.getLogger().handlers if isinstance(handler, PrefectConsoleHandler)]
    log.addFilter(once)
    for console in consoles:
        console.addFilter(_is_not_told_at_the_end)
    try:
        yield
    finally:
        for console in consoles:
            console.removeFilter(_is_not_told_at_the_end)
        log.removeFilter(once)
