"""The table of a training, and what is to be known of its models."""

from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING

from flows.printing.numbers import counted
from flows.printing.plain_table import PlainTable, plain_table
from reports.plain_text import shown

if TYPE_CHECKING:  # a table needs no flow, nor its torch
    from flows.training import TrainingRun
    from tasks.training.fitted_model import FittedModel


_MOST_NAMED = 3


def training_table(run: "TrainingRun", store_uri: str) -> PlainTable:
    """New versions, their data and their thresholds; below it what is to be known of them."""
    table = plain_table(
        "category", "version", "champion", "trained on", "calibrated on", "fit", "threshold", "seconds"
    )
    for model in run.models:
        table.add_row(
            model.category,
            model.version,
            "yes" if model.champion else "no",
            str(model.train),
            f"{model.calibration} (cross)" if model.cross else str(model.calibration),
            f"{model.method}: {model.fit}",
            f"{model.threshold:.4f}" + (" (extrapolated)" if model.threshold_is_extrapolated else ""),
            f"{model.seconds:.1f}",
        )
    table.notes = [f"{model.category}: {note}" for model in run.models for note in _notes(model, store_uri)]
    return table


def _notes(model: "FittedModel", store_uri: str) -> Iterator[str]:
    if model.promise:
        yield model.promise
    if model.method_choice:
        yield (
            f"method: {shown(model.method_choice)} It stays until you compare again (rd-inspect compare --category "
            f"{quote(model.category)}) and train."
        )
    if model.size_choice:
        yield model.size_choice
    if model.tiles:
        yield model.tiles
    if model.ignored:
        yield f"{model.ignored:.1%} of the image is ignored: rd-inspect regions --category {quote(model.category)}"
    if model.left_out:
        yield shown(model.left_out)
    aside = len(model.set_aside)
    if model.unlabelled:
        normals = model.train + model.early_stop + (0 if model.cross else model.calibration)
        yield (
            f"nobody has looked at the {counted(normals, 'image')} behind it; {_others(aside)}. A defect "
            "that many images show passes for normal: label some of the next nights' images (rd-inspect review)."
        )
    if aside:
        yield (
            f"{counted(aside, 'normal')} {_were(aside)} set aside as likely wrong labels: neither the model nor the "
            "threshold rests on them."
        )
        yield from (f"{shown(key)}: {why}" for key, why in list(model.set_aside.items())[:_MOST_NAMED])
    if model.more_suspects:
        yield (
            f"{counted(model.more_suspects, 'further normal')} stood out too and {_were(model.more_suspects)} used, "
            "because no more than a tenth is set aside. Check the labels."
        )
    if model.highest:
        yield "the threshold rests on these. If one is a defect, label it (rd-inspect review) and train again:"
        yield from (f"{shown(key)}: {how}" for key, how in model.highest.items())
    if model.page:
        yield f"their pictures: {store_uri.rstrip('/')}/{model.page}"
    if not model.champion:
        yield (
            "a candidate, which scores no night. To put it in force: rd-inspect promote --category "
            f"{quote(model.category)} --version {model.version}"
        )


def _others(count: int) -> str:
    return f"{counted(count, 'other')} stood out and {_were(count)} set aside" if count else "none stood out"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
