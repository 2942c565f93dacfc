"""`rd-inspect compact`: copies of whole days for fast queries."""

import typer

from flows.commands.frame import StoreOption, plain_errors, resolved_store
from flows.errors import RUN_FAILED
from flows.printing.numbers import counted
from flows.printing.output import say


def compact(store: StoreOption = None) -> None:
    """Copy each complete day's scores into one large file, so that queries over many days are fast.

    The original files stay the source of truth, and each is checked against its digest before it is copied. Run it
    after the nights, as often as you like: only days without an up-to-date copy are copied, and a day that changes
    later is read from its original files until then. It may be interrupted at any point. The folder `merged/` may
    be removed at any time: answers stay the same, only slower. Exit code 1 if a day cannot be copied.

    Example:

    * `rd-inspect compact`

    Next: `rd-inspect query "SELECT run_date, count(*) FROM latest GROUP BY 1"` reads the copies.
    """
    with plain_errors():
        from datetime import UTC, datetime

        from storage.analysis.compaction import merge_days
        from storage.filesystem import open_store

        opened = open_store(resolved_store(store))
        opened.check()
        done = merge_days(opened, now=datetime.now(UTC))
        files = f"{counted(done.rows, 'row')} of {counted(done.parts, 'score file')}"
        say(f"{counted(done.days, 'day')} copied ({files}), {done.held} already up to date.")
        if done.removed:
            say(f"Outdated copies removed: {done.removed}.")
        for day in done.changing:
            say(f"{day} changed meanwhile; the next rd-inspect compact copies it.")
        for problem in done.damaged:
            say(problem)
        if done.damaged:
            raise typer.Exit(RUN_FAILED)
