"""One night of `benchmarks.many_categories`, by whichever checkout PYTHONPATH names.

    PYTHONPATH=CHECKOUT python benchmarks/many_categories_play.py STORE DAY FILE

Writes JSON to FILE: phases as (name, processor seconds of the tree of processes, wall seconds), and seconds by stage.
"""

import sys
import time

_BEGAN = time.perf_counter()

import contextlib
import json
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import prefect
import psutil

NAMED = {
    "plan-partitions": "plan",
    "score-partitions": "score and seal",
    "write-run-report": "run report",
    "evaluate-partitions": "evaluation: count",
    "measure-aupimos": "evaluation: AUPIMO",
    "write-evaluation-report": "evaluation: figures, HTML",
    "replay-golden-sets": "drift: golden images",
    "assess-models": "drift: assess",
    "write-drift-report": "drift: HTML",
    "write-index": "index",
}
"""flows and tasks that the run's own process calls, one after the other"""


class Clock:
    """Gives what passes between two calls of `mark` to a phase."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, float, float]] = []
        self._wall, self._cpu = _BEGAN, 0.0

    def mark(self, name: str) -> None:
        """What passed since the last mark was `name`."""
        wall, cpu = time.perf_counter(), _cpu()
        self.phases.append((name, max(0.0, cpu - self._cpu), wall - self._wall))
        self._wall, self._cpu = wall, cpu


def _cpu() -> float:
    """Of this process and of all that come from it, those that have ended too."""
    me, total = psutil.Process(), 0.0
    for one in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            total += sum(one.cpu_times()[:4])
    return total


def _watch(kind: type, clock: Clock) -> None:
    called: Callable[..., Any] = kind.__call__

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        phase = NAMED.get(self.name)
        if phase is None:
            return called(self, *args, **kwargs)
        clock.mark(f"before {phase}")
        try:
            return called(self, *args, **kwargs)
        finally:
            clock.mark(phase)

    kind.__call__ = call  # type: ignore[method-assign]  # to know when a flow or task begins and ends


def play(store: str, day: date) -> dict[str, Any]:
    """The night, from the interpreter's start to the servers' end."""
    from flows.inspection import inspect_images  # noqa: PLC0415  # the checkout's, timed
    from flows.machinery.prefect_server import prefect_server  # noqa: PLC0415  # likewise

    clock = Clock()
    clock.mark("imports")
    _watch(prefect.Flow, clock)
    _watch(prefect.Task, clock)
    with prefect_server():
        clock.mark("server")
        run = inspect_images(store, day)
        clock.mark("end of run")
    clock.mark("end of server")
    stages: Counter[str] = Counter()
    for one in run.categories:
        stages.update(dict(one.seconds_by_stage))
    return {"phases": clock.phases, "stages": stages}


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(play(sys.argv[1], date.fromisoformat(sys.argv[2]))), encoding="utf-8")
