"""What `rd-inspect backfill` prints."""

from rich.table import Table

from flows.backfill import BackfillRun
from flows.tables.grid import grid_table
from flows.tables.plant import notes

_MOST_LINES = 20
"""problems told one by one; the log has all"""


def backfill_table(run: BackfillRun) -> Table:
    """The grid as the backfill left it, and what could not be done."""
    table = grid_table(run.after)
    did = f"{run.scored} images scored, {run.mended} damages mended"
    todo = f"{len(run.before.undone)} to do" if run.outcome == "dry run" else did
    table.title = f"{run.outcome}, {todo}; {table.title}"
    told = [f"{one.category} {one.run_date or ''}: {one.why}" for one in run.problems[:_MOST_LINES]]
    table.caption = notes([*told, *([str(table.caption)] if table.caption else [])])
    return table
