"""Ground truth of an image's pixels: defect-free, defect or unknown.

A missing mask is not a mask of zeros. The image's label decides what is known without a mask:

    label      mask      its pixels count as
    normal     none      defect-free, all of them
    anomalous  given     defects where it is True, defect-free elsewhere
    anomalous  none      nothing: the defect's place is unknown

The pixels of an image without scores (NaN throughout) do not count either.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rd_core.metrics.float16_bins import nan_count

_MISSING = object()


@dataclass(frozen=True, eq=False)
class NormalMap:
    """The map of a normal image: every pixel is defect-free."""

    values: NDArray[np.float16]
    """[H, W], no NaN"""


@dataclass(frozen=True, eq=False)
class DefectiveMap:
    """The map of an anomalous image with a mask."""

    values: NDArray[np.float16]
    """[H, W], no NaN"""
    defects: NDArray[np.bool_]
    """[H, W], at least one True"""


@dataclass(frozen=True)
class UncountedMap:
    """An image whose pixels do not count."""

    reason: Literal["unscored", "unmasked"]
    """no map, or an anomalous image without a mask"""


PixelTruth = NormalMap | DefectiveMap | UncountedMap


def pixel_truths(
    maps: Iterable[NDArray[np.float16]],
    masks: Iterable[NDArray[np.bool_] | None],
    is_anomalous: Iterable[bool | np.bool_],
) -> Iterator[PixelTruth]:
    """Classify maps float16 [H, W] with masks bool [H, W] or None and labels, image by image, in order.

    Raises ValueError for other dtypes or shapes, a partly NaN map, a missing label, an empty mask of an anomalous
    image, a mask with defects of a normal one, or inputs of different lengths.
    """
    triples: Iterator[tuple[Any, Any, Any]] = zip_longest(maps, masks, is_anomalous, fillvalue=_MISSING)
    for index, (values, mask, anomalous) in enumerate(triples):
        if values is _MISSING or mask is _MISSING or anomalous is _MISSING:
            raise ValueError(
                f"maps, masks and labels are not equally many (one ends at {index}), so they cannot be matched. "
                "Give one of each an image; None for a mask that is not there."
            )
        yield _truth(index, values, mask, anomalous)


def _truth(index: int, values: NDArray[np.float16], mask: NDArray[np.bool_] | None, anomalous: object) -> PixelTruth:
    _check_map(index, values)
    if not isinstance(anomalous, bool | np.bool_):
        raise ValueError(
            f"image {index} has the label {anomalous!r}, which is neither True nor False: counting it as normal "
            "would take defects for false alarms. Leave unlabelled images out."
        )
    if mask is not None:
        _check_mask(index, mask, values.shape, bool(anomalous))
    nans = nan_count(values)
    if nans == values.size:
        return UncountedMap("unscored")
    if nans:
        raise ValueError(
            f"map {index} is NaN in {nans} of {values.size} pixels: it was half-written or its network diverged, "
            "and no pixel of it can be ranked. Score the image again."
        )
    if not anomalous:
        return NormalMap(values)
    return UncountedMap("unmasked") if mask is None else DefectiveMap(values, mask)


def _check_map(index: int, values: NDArray[np.float16]) -> None:
    if values.ndim != 2 or not values.size or values.dtype != np.float16:
        raise ValueError(
            f"map {index} has the shape {values.shape} and dtype {values.dtype}, but the tables have a bin for "
            "each float16 only. Give the stored maps, float16 [H, W]."
        )


def _check_mask(index: int, mask: NDArray[np.bool_], shape: tuple[int, ...], anomalous: bool) -> None:
    if mask.dtype != np.bool_ or mask.shape != shape:
        raise ValueError(
            f"mask {index} has the shape {mask.shape} and dtype {mask.dtype}, its map {shape}: pixels cannot be "
            "matched. Bring it to the map's grid with ImageView.mask_on_map()."
        )
    if mask.any() and not anomalous:
        raise ValueError(
            f"image {index} is labelled normal but its mask has {int(mask.sum())} defect pixels: one of the two is "
            "wrong. Correct the label or remove the mask."
        )
    if anomalous and not mask.any():
        raise ValueError(
            f"image {index} is labelled anomalous but its mask is empty: its defect would count as defect-free. "
            "Give None where a mask is missing, or correct the label."
        )
