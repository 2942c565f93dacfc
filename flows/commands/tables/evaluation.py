"""The table of `rd-inspect evaluate`."""

from flows.evaluation import EvaluationRun
from flows.printing.plain_table import PlainTable, plain_table
from reports.evaluation.measures import Measure
from reports.evaluation.words import in_digits
from reports.plain_text import shown

COLUMNS = {"image_auroc": "AUROC", "recall": "recall", "false_alarm_rate": "false alarms", "aupro_30": "AUPRO"}
"""figures that fit on a terminal; the report has all of them, with their intervals"""


def evaluation_table(run: EvaluationRun) -> PlainTable:
    """One row a category and model version with the main figures, then their means; below, what they leave out."""
    table = plain_table("category", "model version", "images", *COLUMNS.values())
    days = str(run.first_day) if run.first_day == run.last_day else f"{run.first_day} to {run.last_day}"
    table.title = f"Evaluation of {days}"
    for category in run.categories:
        table.add_row(
            category.category,
            category.model_version,
            f"{category.normal}+{category.anomalous}",
            *_cells(category.measures),
        )
    if len(run.categories) > 1:
        table.add_row("mean", "", "", *_cells(run.means))
    table.notes = ["images: normal + anomalous; AUPRO up to a false-positive rate of 0.3"]
    table.notes += [f"{one.category}, {shown(one.recommended)}" for one in run.categories if one.recommended]
    table.notes += [f"{name}: no evaluation label" for name in run.unlabelled]
    table.notes += [f"{what}: {shown(why)}" for what, why in run.failed]
    return table


def _cells(measures: tuple[Measure, ...]) -> list[str]:
    by_name = {measure.name: in_digits(measure) for measure in measures}
    return [by_name[name] for name in COLUMNS]
