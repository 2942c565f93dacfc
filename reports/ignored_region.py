"""Words about ignored regions, on the review page and the command line."""

from collections.abc import Sequence
from datetime import UTC, datetime


def version_in_words(polygons: Sequence[object], mask: str | None, drawn_by: str | None, drawn_at: datetime) -> str:
    """Such as "2 regions, by ann at 2026-11-30 14:05 UTC"."""
    by = drawn_by or "somebody without a name"
    return f"{what_in_words(polygons, mask)}, by {by} at {drawn_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def what_in_words(polygons: Sequence[object], mask: str | None) -> str:
    """Such as "2 regions"."""
    if mask is not None:
        return "a mask image"
    return {0: "nothing ignored", 1: "1 region"}.get(len(polygons), f"{len(polygons)} regions")


def too_small_in_words(number: int, regions: int, size: tuple[int, int]) -> str:
    """What is wrong with so many of the regions. size: height and width at which the model sees images."""
    which, them = ("The region is", "it") if regions == 1 else (f"{number} of {regions} regions are", "them")
    return (
        f"{which} too small: no pixel of the {size[0]} x {size[1]} that the model sees lies by half in {them}, "
        f"so nothing there is ignored. Draw {them} larger, or train with a larger image_size."
    )


def next_steps(category: str, *, in_force: bool, ignores: bool) -> list[str]:
    """What follows from a region that was saved. in_force: whether the category has a champion. ignores: whether the
    region ignores anything."""
    if not in_force:
        does = "uses it" if ignores else "ignores nothing"
        return [f"The first training {does}: rd-inspect train --category {category}"]
    return [
        "Days that are scored stay as they are.",
        f"The model in force keeps scoring {category} with the region that it was trained with.",
        f"To {'use this one' if ignores else 'ignore nothing'}: rd-inspect recalibrate --category {category}, which "
        "keeps the weights and sets a new threshold from normal images that it has not learnt from; or a new "
        f"training: rd-inspect train --category {category}. Each makes a candidate; rd-inspect promote "
        "puts it in force.",
    ]
