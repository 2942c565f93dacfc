"""The table of `rd-inspect recalibrate`."""

from shlex import quote
from typing import TYPE_CHECKING

from flows.printing.plain_table import PlainTable, plain_table
from reports.number_format import percent
from reports.plain_text import shown
from tasks.recalibration.order import HELD_OUT

if TYPE_CHECKING:  # the table needs no flow
    from flows.recalibration import RecalibrationRun
    from tasks.recalibration.recalibrate_model import RecalibratedModel

_MOST_NAMED = 3


def recalibration_table(run: "RecalibrationRun", store: str) -> PlainTable:
    """New versions, what their thresholds rest on, and what they change. `store`: its address, for what to type
    next."""
    table = plain_table(
        "category", "version", "champion", "threshold", "before", "images", "above it", "above the old", "days"
    )
    for model in run.models:
        table.add_row(
            model.category,
            model.version,
            "yes" if model.champion else "no",
            f"{model.threshold:.4f}" + (" (extrapolated)" if model.threshold_is_extrapolated else ""),
            f"{model.threshold_before:.4f}",
            str(model.images),
            str(model.above),
            "-" if model.region_is_new else str(model.above_before),
            f"{model.first_day} to {model.last_day}" if model.first_day else "-",
        )
    table.notes = [f"{model.category}: {words_of(model)}" for model in run.models]
    for model in run.models:
        table.notes += [
            f"{model.category}: set aside as a likely wrong label: {shown(key)}: {shown(why)}"
            for key, why in list(model.set_aside.items())[:_MOST_NAMED]
        ]
        if model.page:
            table.notes.append(f"all of them with their pictures: {store.rstrip('/')}/{model.page}")
        if model.more_suspects:
            table.notes.append(
                f"{model.category}: {model.more_suspects} more stand out and are used. Check the labels."
            )
        table.notes.append(_next(model, store))
    return table


def _next(model: "RecalibratedModel", store: str) -> str:
    named = f"--category {quote(model.category)} --store {quote(store)}"
    if model.champion:
        return f"To undo: rd-inspect rollback {named}"
    return f"Next: rd-inspect promote --version {model.version} {named}"


def _of_defects(model: "RecalibratedModel") -> str:
    if model.defect_share is None or model.withstands is None:
        return ""
    return (
        f"{percent(model.defect_share)} of the scores are taken for defects and left out; the threshold withstands "
        f"{percent(model.withstands)}. A defect that many images show passes for normal."
    )


def words_of(model: "RecalibratedModel") -> str:
    """What the new threshold rests on, in sentences."""
    left = ", ".join(f"{count} {reason}" for reason, count in model.left_out.items())
    of_images = model.method != HELD_OUT
    parts = [
        f"calibrated on {model.method}"
        + (f", {model.sealed} of {model.images} scores from complete days" if of_images else "")
        + f"; weights of {model.weights_version}.",
        model.promise,
        f"It ignores another region than {model.replaces}, {model.ignored:.1%} of the image, so its scores are not "
        "comparable with earlier ones."
        if model.region_is_new
        else "",
        _of_defects(model),
        shown(model.judged),
        f"Left out: {left}." if left else "",
        "" if model.pixel_threshold_is_new or not of_images else "The pixel threshold stays: no map is left.",
    ]
    return " ".join(filter(None, parts))
