"""What `rd-inspect drift` prints."""

from flows.drift import DriftRun
from flows.printing.plain_table import PlainTable, plain_table


def drift_table(run: DriftRun) -> PlainTable:
    """A model version a row, with its verdict and the strongest cause."""
    table = plain_table("category", "verdict", "cause", "since", "images", "no score", "alarms", "model version")
    for one in run.models:
        found = one.assessment
        table.add_row(
            one.category,
            one.action or "none",
            found.causes[0].name if found and found.causes else "-",
            (found.changed_since if found else None) or "-",
            str(one.images),
            str(one.unreadable + one.rejected),
            f"{found.alarm_rate.rate:.2%}" if found else "-",
            one.model_version,
        )
    days = f"{run.first_day} to {run.last_day}" if run.first_day else "no day is complete"
    table.title = f"Drift, {days}: {run.verdict or 'no verdict'}"
    table.notes = [f"{one.category} {one.model_version}: {one.message}" for one in run.models if one.message]
    table.notes += [
        f"{one.category}: {one.scored} of {one.images} golden images scored"
        + (f", {one.left_out} left out, for their files have changed" if one.left_out else "")
        + (", the reference from now on" if one.is_reference else "")
        for one in run.golden
    ]
    table.notes += [f"{what}: {why}" for what, why in run.failed]
    return table
