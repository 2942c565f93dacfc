"""Progress bars of a run on a terminal; nothing elsewhere, where the logs tell."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any

from distributed import Client
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tasks.progress import TOPIC


@contextlib.contextmanager
def progress_bars(scheduler: str, stage: str, totals: Mapping[str, int | None]) -> Iterator[None]:
    """Bars for the categories in `totals` (images, or None for a training that tells its own number of steps),
    driven by what the tasks tell through the Dask scheduler at that address."""
    if not sys.stderr.isatty():
        yield
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns, console=Console(stderr=True)) as bars,
        Client(scheduler, set_as_default=False) as client,
    ):
        unit = "steps" if stage == "train" else "images"
        tasks = {name: bars.add_task(f"{stage} {name}", total=n, unit=unit) for name, n in totals.items()}
        client.subscribe_topic(TOPIC, _Listener(bars, stage, tasks))
        yield
        client.unsubscribe_topic(TOPIC)


class _Listener:
    """Moves the bars. Messages of a task that ran twice may come twice; a bar never passes its end."""

    def __init__(self, bars: Progress, stage: str, tasks: Mapping[str, TaskID]) -> None:
        self._bars = bars
        self._stage = stage
        self._tasks = tasks
        self._done = dict.fromkeys(tasks, 0)
        self._lock = Lock()

    def __call__(self, event: tuple[float, Any]) -> None:
        _, message = event
        category = message["category"]
        if message["stage"] != self._stage or category not in self._tasks:
            return
        with self._lock:
            if message["total"] is None:
                self._done[category] += message["done"]
                self._bars.update(self._tasks[category], completed=self._done[category])
            else:
                self._bars.update(self._tasks[category], completed=message["done"], total=message["total"])
