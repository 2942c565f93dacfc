"""The table of `rd-inspect compare`."""

from typing import TYPE_CHECKING

from flows.printing.numbers import counted
from flows.printing.plain_table import PlainTable, plain_table
from reports.number_format import data_size, duration, percent
from reports.plain_text import shown

if TYPE_CHECKING:  # a table needs no flow, nor its torch
    from flows.comparison import ComparisonRun
    from reports.comparison.results import ComparedMethod


def comparison_table(run: "ComparisonRun") -> PlainTable:
    """One row a method, best first; below it the verdict, and what to know before relying on it."""
    compared = run.compared
    defects = "drawn defects" if compared.drawn else "defects"
    table = plain_table(
        "method", "AUROC", "AP", "AUPRO", "recall", "false alarms", "undecided",
        "training", "images/s", "memory", "model",
    )  # fmt: skip
    table.title = (
        f"Methods on {compared.category}, by {counted(compared.normal, 'normal image')} and {compared.anomalous} "
        f"with {defects} that report"
    )
    for one in compared.methods:
        table.add_row(one.method, *_cells(one))
    table.notes = [shown(compared.sentence)]
    table.notes.append(
        f"recall, false alarms and undecided: at a promised false-alarm rate of {percent(compared.alpha)}; training: "
        "processor time; memory: of the process at its peak; order of the rows: by the half that chooses, if one does"
    )
    if compared.drawn:
        table.notes.append("No defect is labelled: they were drawn into good images. Label real ones to be sure.")
    table.notes += [shown(note) for note in compared.notes]
    table.notes += [f"failed: {shown(str(one))}" for one in compared.failed]
    if run.promotion:
        table.notes.append(shown(run.promotion.words))
    return table


def _cells(one: "ComparedMethod") -> list[str]:
    ranked = [_digits(None if found is None else found.figure.value) for found in (one.auroc, one.average_precision)]
    shares = [percent(found.figure.value) for found in (one.recall, one.false_alarms, one.undecided)]
    memory = data_size(one.peak_memory) if one.peak_memory else "-"
    cost = duration(one.training_seconds), f"{one.images_per_second:.3g}", memory, data_size(one.model_bytes)
    return [*ranked, _digits(one.aupro_30), *shares, *cost]


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
