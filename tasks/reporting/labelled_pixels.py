"""Maps and masks of labelled images in chunks, and why one cannot be counted."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rd_core.errors import ViewImpossible
from rd_core.maps.enlargement import enlarged
from rd_core.pictures.alignment import Offset
from rd_core.pictures.image_view import ImageView
from rd_core.pictures.read_ahead import at_once
from storage.errors import CorruptObject, InvalidKey, KeyNotFound, ObjectDenied, UnreadableImage
from storage.filesystem import Store
from storage.images import decode_mask
from storage.partitions import anomaly_maps

IMAGES_AT_ONCE = 16
"""maps in memory together, at most"""
_PROPORTION = 0.02
"""tolerated relative difference of a mask's and its image's aspect ratio, for rounded sizes"""


class Uncountable(Exception):
    """One image's pixels cannot be counted; the message has reason and cure."""


@dataclass(frozen=True, eq=False)
class LabelledPixels:
    """One labelled image."""

    row: Mapping[str, Any]
    """the given row"""
    values: NDArray[np.float16] | None = None
    """[H, W], the stored map at the view's size, so that figures of models with other map strides compare; None with
    a `problem`"""
    mask: NDArray[np.bool_] | None = None
    """[H, W], the counted defect pixels; None with a `problem` or without a mask"""
    counted: NDArray[np.bool_] | None = None
    """[H, W], False in ignored regions; None: every pixel counts"""
    problem: str | None = None


def labelled_pixels(
    store: Store, rows: Sequence[Mapping[str, Any]], view: ImageView | None
) -> Iterator[list[LabelledPixels]]:
    """Maps and masks of `rows`, in chunks, in the order of the maps.

    view: of the model that scored them; None if its card is lost, which takes the maps for ones of the whole image.

    A row has image_key, label, mask_key, map_store, map_index, image_height and image_width. An uncountable one has a
    problem; temporary faults of the store are raised.
    """
    ordered = sorted(rows, key=lambda row: (row["map_store"] or "", row["map_index"] or 0))
    for map_store, of_store in groupby(ordered, key=lambda row: row["map_store"]):
        members = list(of_store)
        size = 1  # the first alone, for its size
        while chunk := members[:size]:
            del members[:size]
            maps = _maps(store, map_store, [row["map_index"] for row in chunk])
            shapes = [view.size if view else one.shape for one in maps if not isinstance(one, str)]
            size = max([size, *(at_once(2 * math.prod(shape), IMAGES_AT_ONCE) for shape in shapes)])
            yield [_pixels(store, row, values, view) for row, values in zip(chunk, maps, strict=True)]


def read_mask(store: Store, key: str) -> NDArray[np.bool_]:
    """bool (h, w): True where the image under `key` is not black. Raises Uncountable if it cannot be read."""
    try:
        return decode_mask(store.read(key))
    except (KeyNotFound, InvalidKey, ObjectDenied, UnreadableImage) as e:
        raise Uncountable(
            f"The mask {key} cannot be read ({e}), so no pixel of this image is counted. Save it again as a PNG of "
            "the image's size, not black where the defect is."
        ) from e


def _maps(store: Store, key: str | None, indices: list[int | None]) -> list[NDArray[np.float16] | str]:
    """The map of each index, or why there is none. A bad map does not affect its neighbours."""
    known = [index for index in indices if index is not None]
    if key is None or len(known) < len(indices):
        return ["The row names no map." for _ in indices]
    try:
        return list(anomaly_maps.read_maps(store, key, known))
    except (KeyNotFound, CorruptObject) as e:
        if len(known) == 1:
            return [str(e)]
        return [anomaly_map for index in known for anomaly_map in _maps(store, key, [index])]


def _pixels(
    store: Store, row: Mapping[str, Any], values: NDArray[np.float16] | str, view: ImageView | None
) -> LabelledPixels:
    counted = mask = None
    try:
        if isinstance(values, str):
            raise Uncountable(_no_map(values))
        nans = int(np.count_nonzero(np.isnan(values)))
        if nans:
            raise Uncountable(_no_map(f"{nans} of {values.size} pixels are NaN, so it was never written whole."))
        view = view or ImageView(values.shape[0], values.shape[1])
        values, grid = enlarged(values, view.size), view.size
        size = row["image_height"] or grid[0], row["image_width"] or grid[1]
        offset = Offset.of_row(row)
        counted = view.counted(size, grid, offset)
        if row["mask_key"] is not None:
            mask = counted_defect(store, row["mask_key"], size, view, grid, row["label"], offset)
    except (Uncountable, ViewImpossible) as e:
        return LabelledPixels(row, problem=str(e))
    return LabelledPixels(row, values, mask, counted)


def counted_defect(
    store: Store,
    key: str,
    size: tuple[int, int],
    view: ImageView,
    grid: tuple[int, int],
    label: str,
    offset: Offset | None = None,
) -> NDArray[np.bool_]:
    """The counted defect pixels, bool `grid`, of the mask under `key`, drawn on an image of `size` that has `label`;
    sizes are (height, width). Raises Uncountable for a mask that fits neither image nor label nor view."""
    mask = read_mask(store, key)
    if abs(mask.shape[0] * size[1] / (mask.shape[1] * size[0]) - 1) > _PROPORTION:
        raise Uncountable(
            f"The mask {key} has {mask.shape[0]}x{mask.shape[1]} pixels, its image {size[0]}x{size[1]}: they do not "
            "match, so no pixel of this image is counted. Draw the mask on the image."
        )
    if label == "normal" and mask.any():
        raise Uncountable(
            f"The image is labelled normal, but its mask {key} has {int(mask.sum())} defect pixels: one of the two "
            "is wrong, so no pixel of it is counted. Correct the label or remove the mask."
        )
    if label == "anomalous" and not mask.any():
        raise Uncountable(
            f"The image is labelled anomalous, but its mask {key} is black: its defect would count as defect-free, "
            "so no pixel of it is counted. Draw the defect, or correct the label."
        )
    shown = view.mask_on_map(mask, grid, size, offset)
    counted = view.counted(size, grid, offset)
    found = shown if counted is None else shown & counted
    if label == "anomalous" and not found.any():
        where = "in ignored regions" if shown.any() else f"outside the crop {view.crop}"
        raise Uncountable(
            f"The labelled defect of the mask {key} lies wholly {where}, so the model cannot find it and no pixel of "
            "the image is counted. If the defect matters, change what the model looks at and train again; if not, "
            "label the image normal."
        )
    return found


def _no_map(why: str) -> str:
    return (
        f"The image's score counts, but its map is missing: {why} No pixel of this image is counted. rd-inspect "
        "verify --deep names the command that makes the map again."
    )
