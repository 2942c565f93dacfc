"""One command of `benchmarks.night_start`, with a mark in a file whenever a stage of it is done."""

import functools
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARKS = "NIGHT_START_MARKS"
"""environment variable: the file that the marks go to"""
_STAGES = {
    "flows.preflight.checks.checked_night": "arguments and store looked at",
    "flows.preflight.checks.refuse_dead_cluster": "arguments and store looked at",
    "flows.commands.frame._import": "flow imported, while the server starts",
    "flows.machinery.prefect_server._wait_for": "waited for the server",
    "flows.inspection.choose_night": "run begun",
    "flows.inspection._inspect": "planned, scored, sealed",
    "flows.inspection._report": "run report",
    "flows.night.night_reports._evaluation": "evaluation",
    "flows.night.night_reports._drift": "drift",
    "flows.night.night_reports._index": "index page",
    "flows.machinery.prefect_client._send_what_waits": "logs and events sent",
    "flows.machinery.prefect_server._stop": "server ended",
}
"""what has been done when a function returns; several of one stage count together"""


def main() -> None:
    """The command that the arguments say, in this process."""
    from flows import cli  # noqa: PLC0415  # as a command's own start has it

    _mark("command line imported")
    for name, stage in _STAGES.items():
        module, _, function = name.rpartition(".")
        if module in ("flows.preflight.checks", "flows.machinery.prefect_server"):
            _wrap(__import__(module, fromlist=[function]), function, stage)
    from flows.commands import frame  # noqa: PLC0415  # after the mark of the import above

    imported = frame._import

    def importing(module: str) -> None:
        imported(module)
        _mark(_STAGES["flows.commands.frame._import"])
        for name, stage in _STAGES.items():
            of, _, function = name.rpartition(".")
            if of in sys.modules and of not in (
                "flows.preflight.checks",
                "flows.machinery.prefect_server",
                "flows.commands.frame",
            ):
                _wrap(sys.modules[of], function, stage)

    frame._import = importing
    sys.argv[0] = "rd-inspect"
    cli.main()


def _wrap(module: Any, function: str, stage: str) -> None:
    work: Callable[..., Any] = getattr(module, function)

    @functools.wraps(work)
    def marked(*arguments: Any, **options: Any) -> Any:
        try:
            return work(*arguments, **options)
        finally:
            _mark(stage)

    setattr(module, function, marked)


def _mark(stage: str) -> None:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    with Path(os.environ[MARKS]).open("a") as file:
        file.write(json.dumps([stage, time.time(), spent.ru_utime + spent.ru_stime]) + "\n")


if __name__ == "__main__":
    main()
