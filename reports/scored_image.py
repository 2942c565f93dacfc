"""One image of a report: its score, what was decided, and what is drawn of it. Filled by the caller."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Box:
    """A rectangle; each side in shares of the picture's height or width, [0, 1]."""

    top: float
    left: float
    height: float
    width: float


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """One image as the report shows it."""

    image_key: str
    """path below the store's root; any text, escaped when drawn"""
    score: float | None = None
    """raw anomaly score; None if the image was not scored"""
    threshold: float | None = None
    """the threshold the decision was made with"""
    is_anomalous: bool | None = None
    """score above threshold; None if the image was not scored"""
    p_value: float | None = None
    """conformal: the share of calibration normals that score at least as high, in (0, 1]"""
    status: str = "ok"
    """ok | unreadable | rejected"""
    error: str | None = None
    """why the image has no score"""
    anomalous_area: float | None = None
    """share of the map's pixels above `map_threshold`, in [0, 1]"""
    label: str | None = None
    """normal | anomalous, where somebody labelled it"""
    kind: str | None = None
    """kind of defect, where it is known"""
    pixel_threshold: float | None = None
    """what the colours of the map hang on; None: no map is drawn, for nobody knows what its values mean"""
    map_threshold: float | None = None
    """above it a map's pixel is anomalous"""
    boxes: tuple[Box, ...] = ()
    """around defects, where the image was not accepted"""
    picture: NDArray[np.uint8] | None = None
    """(H, W, 3); any size"""
    anomaly_map: NDArray[np.floating] | None = None
    """(h, w); any size; NaN is drawn as nothing"""


def boxes_in_shares(
    boxes: Iterable[Mapping[str, float]] | None, height: int | None, width: int | None
) -> tuple[Box, ...]:
    """Boxes (top, left, height, width) in the pixels of an image of that size, such as a score row's `defect_boxes`.

    None where there are no boxes or the size is not known.
    """
    if not height or not width:
        return ()
    return tuple(
        Box(box["top"] / height, box["left"] / width, box["height"] / height, box["width"] / width)
        for box in boxes or ()
    )
