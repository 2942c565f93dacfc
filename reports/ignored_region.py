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


def next_steps(category: str, *, in_force: bool) -> list[str]:
    """What follows from a region that was saved. in_force: whether the category has a champion."""
    if not in_force:
        return [f"The first training uses it: rd-inspect train --category {category}"]
    return [
        "Days that are scored stay as they are.",
        f"The model in force keeps scoring {category} with the region that it was trained with.",
        f"To use this one: rd-inspect recalibrate --category {category}, which keeps the weights and sets a new "
        "threshold from normal images that it has not learnt from; or a new training: rd-inspect train --category "
        f"{category}. Each makes a candidate; rd-inspect promote puts it in force.",
    ]
