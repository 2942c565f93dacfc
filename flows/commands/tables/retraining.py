"""The table of `rd-inspect retrain`."""

from flows.printing.plain_table import PlainTable, plain_table
from flows.watching.retraining_outcome import CategoryRetraining, RetrainingRun
from reports.plain_text import shown
from tasks.retraining.considered_normals import USED


def retraining_table(run: RetrainingRun, store: str) -> PlainTable:
    """One row a category, and below the reasons. `store`: the address of the reports' store."""
    table = plain_table("category", "outcome", "candidate", "new", "old", "quarantined", "not used", "judged on")
    table.title = f"Retraining, {run.run_date}"
    for category in run.categories:
        table.add_row(
            category.category,
            category.outcome,
            category.fitted.version if category.fitted else "-",
            *_cells(category),
        )
    notes = [f"{retraining.category}: {shown(retraining.words)}" for retraining in run.categories]
    notes += [
        f"{retraining.category}, left out: {left}" for retraining in run.categories if (left := _left_out(retraining))
    ]
    reports = [
        (retraining.category, retraining.report)
        for retraining in run.categories
        if retraining.report and not run.report
    ]
    notes += [f"{category}, report: {store.rstrip('/')}/{key}" for category, key in reports]
    notes += [f"{what}: {shown(why)}" for what, why in run.failed]
    table.notes = notes or ["No category has labels."]
    return table


def _left_out(retraining: CategoryRetraining) -> str:
    """Why normal images were left out, by count; also by the training itself."""
    counts = retraining.gathered.counts if retraining.gathered else {}
    reasons = [f"{count} {state}" for state, count in sorted(counts.items()) if state not in USED]
    at_last = retraining.fitted.left_out if retraining.fitted else None
    return "; ".join(filter(None, (", ".join(reasons), shown(at_last) if at_last else "")))


def _cells(retraining: CategoryRetraining) -> list[str]:
    if retraining.gathered is None:
        return ["-"] * 5
    counts = retraining.gathered.counts
    quarantined = counts.get("quarantined", 0)
    others = sum(counts.values()) - retraining.gathered.new - retraining.gathered.replayed - quarantined
    images = retraining.judged.images if retraining.judged else None
    return [
        str(retraining.gathered.new),
        str(retraining.gathered.replayed),
        str(quarantined),
        str(others),
        f"{images['normal']}+{images['anomalous']}" if images else "-",
    ]
