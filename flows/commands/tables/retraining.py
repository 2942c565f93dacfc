"""What `rd-inspect retrain` prints."""

from flows.printing.plain_table import PlainTable, plain_table
from flows.watching.retraining_outcome import CategoryRetraining, RetrainingRun
from reports.plain_text import shown
from tasks.retraining.considered_normals import USED


def retraining_table(run: RetrainingRun, store: str) -> PlainTable:
    """A category a row, and below why it ended so. `store`: its address, below which the reports lie."""
    table = plain_table("category", "outcome", "candidate", "new", "old", "quarantined", "not used", "judged on")
    table.title = f"Retraining, {run.run_date}"
    for one in run.categories:
        table.add_row(one.category, one.outcome, one.fitted.version if one.fitted else "-", *_cells(one))
    told = [f"{one.category}: {shown(one.words)}" for one in run.categories]
    told += [f"{one.category}, left out: {left}" for one in run.categories if (left := _left_out(one))]
    reports = [(one.category, one.report) for one in run.categories if one.report and not run.report]
    told += [f"{category}, report: {store.rstrip('/')}/{key}" for category, key in reports]
    told += [f"{what}: {shown(why)}" for what, why in run.failed]
    table.notes = told or ["No category has labels."]
    return table


def _left_out(one: CategoryRetraining) -> str:
    """Why normals were not used, by count; and what the training itself could not use."""
    counts = one.gathered.counts if one.gathered else {}
    told = [f"{count} {state}" for state, count in sorted(counts.items()) if state not in USED]
    at_last = one.fitted.left_out if one.fitted else None
    return "; ".join(filter(None, (", ".join(told), shown(at_last) if at_last else "")))


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
