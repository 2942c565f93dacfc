"""The table of the views that a category could have."""

from typing import TYPE_CHECKING

from flows.printing.numbers import counted
from flows.printing.plain_table import PlainTable, plain_table
from reports.number_format import times

if TYPE_CHECKING:
    from storage.models.card import ModelCard
    from tasks.training.suggest_view import SuggestedView


def view_table(found: "SuggestedView", champion: "ModelCard | None") -> PlainTable:
    """Views by cost, what they keep of the images, and the lines to copy below.

    champion: for its size and seconds.
    """
    table = plain_table("height x width", "tile", "lost by resizing", "small defects", "training", "scoring")
    table.title = f"{found.category}: images of about {found.seen[0]:,} x {found.seen[1]:,} pixels, height by width"
    for view, lost in zip(found.views, found.lost, strict=True):
        table.add_row(
            f"{view.height} x {view.width}" + (" (suggested)" if view == found.suggested else ""),
            str(view.tile or "none"),
            f"{lost:.1f} grey levels",
            "not known" if found.small_defect is None else f"{view.side_of(found.small_defect):.0f} pixels a side",
            f"{times(view.training)} x",
            f"{times(view.scoring)} x",
        )
    table.notes = list(_notes(found, champion))
    return table


def _notes(found: "SuggestedView", champion: "ModelCard | None") -> list[str]:
    chosen = found.suggested
    known = (
        f"one in ten of {counted(found.defects, 'labelled defect')} is smaller than small defects; features have "
        "cells of 4 pixels, and a defect should cover two of them on each side"
        if found.small_defect is not None
        else "no mask says how small defects are: import masks of some, and ask again"
    )
    lines = [f"[categories.{found.category}]", f"image_size = [{chosen.height}, {chosen.width}]"]
    lines += [f"tile = {chosen.tile}"] if chosen.tile else []
    return [
        known,
        *_of_dearer(found),
        "more pixels are not always better: once a defect is seen, scores of images may get worse with more",
        *_of_champion(champion),
        "to take the suggested view, write into categories.toml:",
        *lines,
    ]


def _of_dearer(found: "SuggestedView") -> list[str]:
    if (dear := found.too_dear) is None:
        return []
    tiles = f" in tiles of {dear.tile}" if dear.tile else ""
    longer = times(dear.scoring / found.views[0].scoring)
    return [
        f"small defects ask for {dear.height} x {dear.width}{tiles}, which takes {longer} times as long to score as "
        "the first: a crop, or a camera that is nearer, costs less"
    ]


def _of_champion(champion: "ModelCard | None") -> list[str]:
    costs = "costs are multiples of those of 256 x 256 pixels"
    if champion is None:
        return [costs]
    view = champion.preprocessing.view
    return [
        f"{costs}; the champion {champion.version} sees {view['height']} x {view['width']} pixels and took "
        f"{champion.fit.seconds:.0f} s to train"
    ]
