"""Progress of a benchmark: bars on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tasks.paper.benchmark_category import BenchmarkProgress

LINE_EVERY = 30.0
"""seconds between two lines on one training"""
_VERBS = {
    "features": "teacher's features",
    "distillation": "distillation",
    "memory": "memory",
    "folds": "train folds",
    "steps": "train",
    "held out": "judge",
    "scoring": "score",
}


class BenchmarkDisplay:
    """Shows a benchmark's progress on standard error."""

    def __init__(self, console: Console, bars: Progress | None, networks: int) -> None:
        self._console = console
        self._bars = bars
        self._networks = networks
        self._done = 0
        self._what = ""
        self._shown = ""
        self._told = 0.0
        self._all: TaskID | None = bars.add_task("networks", total=networks) if bars else None
        self._one: TaskID | None = bars.add_task("", total=None) if bars else None

    def say(self, text: str) -> None:
        """Print one line, with the time of day."""
        self._console.print(f"{datetime.now():%H:%M:%S} | {text}", markup=False)

    def begin(self, what: str) -> None:
        """Begin the next network."""
        self._what = what
        self._told = 0.0

    def end(self) -> None:
        """The network is trained and evaluated, or failed."""
        self._done += 1
        if self._bars and self._all is not None:
            self._bars.update(self._all, completed=self._done)

    def follow(self, progress: BenchmarkProgress) -> None:
        """Called at every step."""
        verb = _VERBS[progress.stage]
        if self._bars and self._one is not None:
            if self._shown != (shown := f"{verb} {self._what}"):  # another bar, with a clock of its own
                self._shown = shown
                self._bars.reset(self._one, description=shown)
            self._bars.update(self._one, completed=progress.done, total=progress.total)
        elif time.monotonic() - self._told > LINE_EVERY:
            self._told = time.monotonic()
            loss = "" if progress.loss is None else f" loss={progress.loss:.4f}"
            self.say(
                f"network {self._done + 1} of {self._networks}: {verb} {self._what}: "
                f"{progress.done} of {progress.total}{loss}"
            )


@contextmanager
def benchmark_display(networks: int) -> Iterator[BenchmarkDisplay]:
    """The display for that many trainings; bars disappear afterwards, lines stay."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not sys.stderr.isatty():
        yield BenchmarkDisplay(console, None, networks)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        yield BenchmarkDisplay(console, bars, networks)
