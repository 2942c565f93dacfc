"""What `rd-inspect retrain` prints."""

from rich.table import Table

from flows.retraining_outcome import CategoryRetraining, RetrainingRun
from flows.tables.plant import plain_table
from reports.plain_text import shown


def retraining_table(run: RetrainingRun) -> Table:
    """A category a row, and below why it ended so."""
    table = plain_table("category", "outcome", "candidate", "new", "old", "quarantined", "not used", "judged on")
    table.title = f"Retraining, {run.run_date}"
    for one in run.categories:
        table.add_row(one.category, one.outcome, one.fitted.version if one.fitted else "-", *_cells(one))
    told = [f"{one.category}: {shown(one.words)}" for one in run.categories]
    told += [f"{one.category}, report: {one.report}" for one in run.categories if one.report and not run.report]
    told += [f"{what}: {shown(why)}" for what, why in run.failed]
    table.caption = "\n".join(told) or "No category has labels."
    return table


def _cells(one: CategoryRetraining) -> list[str]:
    if one.gathered is None:
        return ["-"] * 5
    counts = one.gathered.counts
    quarantined = counts.get("quarantined", 0)
    others = sum(counts.values()) - one.gathered.new - one.gathered.replayed - quarantined
    images = one.judged.images if one.judged else None
    return [
        str(one.gathered.new),
        str(one.gathered.replayed),
        str(quarantined),
        str(others),
        f"{images['normal']}+{images['anomalous']}" if images else "-",
    ]
