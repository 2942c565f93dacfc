"""Boxes around defects, in shares of a picture, so that they fit one of any size."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle; each side in shares of the picture's height or width, [0, 1]."""

    top: float
    left: float
    height: float
    width: float


def boxes_in_shares(
    boxes: Iterable[Mapping[str, float]] | None, height: int | None, width: int | None
) -> tuple[Box, ...]:
    """Boxes (top, left, height, width) in the pixels of an image of that size, such as a score row's `defect_boxes`.

    None where there are no boxes or the size is not known.
    """
    if not height or not width:
        return ()
    return tuple(
        Box(one["top"] / height, one["left"] / width, one["height"] / height, one["width"] / width)
        for one in boxes or ()
    )
