"""One image of a report with its score, decision, picture and map, filled by the caller."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Box:
    """A rectangle in shares [0, 1] of the picture's height and width."""

    top: float
    left: float
    height: float
    width: float


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """One image of a report."""

    image_key: str
    """any text, escaped when drawn"""
    score: float | None = None
    """raw anomaly score; None if the image was not scored"""
    threshold: float | None = None
    """the decision's threshold"""
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
    """normal | anomalous; None without a label"""
    kind: str | None = None
    """kind of defect, if known"""
    pixel_threshold: float | None = None
    """unit of the map's colours; None: no map is drawn"""
    map_threshold: float | None = None
    """pixels of the map above it are anomalous"""
    boxes: tuple[Box, ...] = ()
    """around defects, if the image was not accepted"""
    picture: NDArray[np.uint8] | None = None
    """(H, W, 3); any size"""
    anomaly_map: NDArray[np.floating] | None = None
    """(h, w); any size; NaN is drawn as nothing"""
    covered: Box | None = None
    """the part of the picture that the map covers; None: all of it"""
    ignored: NDArray[np.bool_] | None = None
    """(h, w) of any size, True in regions of the picture that do not count; None: none"""


def box_in_shares(pixels: tuple[int, int, int, int], height: int, width: int) -> Box:
    """(top, left, height, width) in pixels of an image of that height and width."""
    return Box(pixels[0] / height, pixels[1] / width, pixels[2] / height, pixels[3] / width)


def boxes_in_shares(
    boxes: Iterable[Mapping[str, float]] | None, height: int | None, width: int | None
) -> tuple[Box, ...]:
    """Pixel boxes (top, left, height, width), such as a score row's `defect_boxes`, as shares of the image's size.

    Empty without boxes or an unknown size.
    """
    if not height or not width:
        return ()
    return tuple(
        Box(box["top"] / height, box["left"] / width, box["height"] / height, box["width"] / width)
        for box in boxes or ()
    )
