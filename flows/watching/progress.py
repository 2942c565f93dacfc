"""Progress bars of a run on a terminal; elsewhere the logs suffice."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any

from distributed import Client
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from tasks.worker.progress import TOPIC, Phase

_WORDS: dict[Phase, str] = {
    "reading": "reading",
    "gathered": "images gathered",
    "features": "features",
    "distillation": "distillation",
    "memory": "memory",
    "folds": "folds",
    "steps": "steps",
    "held out": "held-out scores",
    "threshold": "threshold",
    "trained": "trained",
    "judging": "comparison",
    "judged": "judged",
}
"""phases of a training, in order"""
_UNITS: dict[Phase, str] = {
    "features": "images",
    "distillation": "steps",
    "memory": "vectors",
    "folds": "steps",
    "steps": "steps",
    "held out": "images",
}


class _Counted(ProgressColumn):
    """12/160 steps; empty while the total is unknown."""

    def render(self, task: Task) -> Text:
        if task.total is None or not task.fields["unit"]:
            return Text("")
        return Text(f"{task.completed:.0f}/{task.total:.0f} {task.fields['unit']}")


@contextlib.contextmanager
def progress_bars(scheduler: str, stage: str, totals: Mapping[str, int | None]) -> Iterator[None]:
    """Bars for the categories in `totals` (images; None: a training with phases of its own), moved by the tasks'
    messages through the Dask scheduler at that address."""
    if not sys.stderr.isatty():
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(), _Counted(), TimeRemainingColumn())
    with (
        Progress(*columns, console=Console(stderr=True)) as bars,
        Client(scheduler, set_as_default=False) as client,
    ):
        client.subscribe_topic(TOPIC, Listener(bars, stage, totals))
        yield
        client.unsubscribe_topic(TOPIC)


class Listener:
    """Moves the bars by the tasks' messages, which may come twice or late: no bar goes back or beyond its end."""

    def __init__(self, bars: Progress, stage: str, totals: Mapping[str, int | None]) -> None:
        self._bars = bars
        self._stage = stage
        self._lock = Lock()
        self._phases: dict[str, Phase] = dict.fromkeys(totals, "reading")
        self._tasks: dict[str, TaskID] = {
            name: bars.add_task(
                _named(name, "reading") if stage == "train" else f"{stage} {name}", total=total, unit="images"
            )
            for name, total in totals.items()
        }

    def __call__(self, event: tuple[float, Any]) -> None:
        _, message = event
        category = message["category"]
        if message["stage"] != self._stage or category not in self._tasks:
            return
        with self._lock:
            if self._stage == "train":
                self._go_on(category, message["phase"], message["done"], message["total"])
            else:
                self._add(category, message["done"])

    def _add(self, category: str, images: int) -> None:
        task = self._task(category)
        done = task.completed + images
        self._bars.update(task.id, completed=done if task.total is None else min(done, task.total))

    def _go_on(self, category: str, phase: Phase, done: int, total: int | None) -> None:
        """A later phase has its own bar in place of the last."""
        order, task = list(_WORDS), self._task(category)
        if order.index(phase) < order.index(self._phases[category]):
            return
        if phase != self._phases[category]:
            self._phases[category] = phase
            self._bars.reset(task.id, description=_named(category, phase), unit=_UNITS.get(phase, ""))
            task.total = total
        if total is not None:
            self._bars.update(task.id, completed=max(done, task.completed), total=total)

    def _task(self, category: str) -> Task:
        return next(task for task in self._bars.tasks if task.id == self._tasks[category])


def _named(category: str, phase: Phase) -> str:
    return f"{category}: {_WORDS[phase]}"
