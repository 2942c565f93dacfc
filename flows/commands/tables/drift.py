"""The table of `rd-inspect drift`."""

from flows.drift import DriftRun
from flows.printing.plain_table import PlainTable, plain_table


def drift_table(run: DriftRun) -> PlainTable:
    """One row a model version, with its verdict and strongest cause."""
    table = plain_table("category", "verdict", "cause", "since", "images", "no score", "alarms", "model version")
    for model in run.models:
        assessment = model.assessment
        table.add_row(
            model.category,
            model.action or "none",
            assessment.causes[0].name if assessment and assessment.causes else "-",
            (assessment.changed_since if assessment else None) or "-",
            str(model.images),
            str(model.unreadable + model.rejected),
            f"{assessment.alarm_rate.rate:.2%}" if assessment else "-",
            model.model_version,
        )
    days = f"{run.first_day} to {run.last_day}" if run.first_day else "no day is complete"
    table.title = f"Drift, {days}: {run.verdict or 'no verdict'}"
    table.notes = [
        f"{model.category} {model.model_version}: {model.message}" for model in run.models if model.message
    ]
    table.notes += [
        f"{replay.category}: {replay.scored} of {replay.images} golden images scored"
        + (f", {replay.left_out} left out, for their files have changed" if replay.left_out else "")
        + (", the reference from now on" if replay.is_reference else "")
        for replay in run.golden
    ]
    table.notes += [f"{what}: {why}" for what, why in run.failed]
    return table
