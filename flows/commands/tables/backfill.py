"""What `rd-inspect backfill` prints."""

from flows.backfill import BackfillRun
from flows.printing.grid import grid_table
from flows.printing.plain_table import PlainTable

_MOST_LINES = 20
"""problems told one by one; the log has all"""


def backfill_table(run: BackfillRun) -> PlainTable:
    """The grid as the backfill left it, and what could not be done."""
    table = grid_table(run.after)
    did = f"{run.scored} images scored, {run.mended} damages mended"
    todo = f"{len(run.before.undone)} to do" if run.outcome == "dry run" else did
    table.title = f"{run.outcome}, {todo}; {table.title}"
    told = [f"{one.category} {one.run_date or ''}: {one.why}" for one in run.problems[:_MOST_LINES]]
    table.notes = [*told, *table.notes]
    return table
