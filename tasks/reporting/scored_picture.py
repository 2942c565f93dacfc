"""A scored row for reports, with its picture, map and labelled defect."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rd_core.pictures.alignment import Offset
from rd_core.pictures.image_view import ImageView
from reports.overlay import outlined, shrunk
from reports.scored_image import ScoredImage, box_in_shares, boxes_in_shares
from storage.errors import CorruptObject, KeyNotFound, StorageError, TransientFault, UnreadableImage
from storage.filesystem import Store
from storage.images import decode, room_for
from storage.models.card import ModelCard
from storage.partitions import anomaly_maps
from tasks.reporting.labelled_pixels import Uncountable, read_mask

PICTURE_SIDE = 448
"""pixels of the longer side, the largest in any report"""
_READERS = 4
"""threads"""


def scored_images(
    store: Store, images: Store, rows: Iterable[Mapping[str, Any]], card: ModelCard | None
) -> list[ScoredImage]:
    """`scored_image` of each row in parallel, because store and decoding dominate."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="picture") as pool:
        return list(pool.map(lambda row: scored_image(store, images, row, card), rows))


def scored_image(store: Store, images: Store, row: Mapping[str, Any], card: ModelCard | None) -> ScoredImage:
    """A row of the model of `card` with its picture, the labelled defect outlined, and its map.

    Missing ones are left out; None stands for a lost card.
    """
    size = row["image_height"], row["image_width"]
    view, offset = ImageView.from_dict(card.preprocessing.view) if card else None, Offset.of_row(row)
    anomaly_map, covered = _map(store, row) if card else None, None
    if view and all(size):
        covered = box_in_shares(view.covered(size), *size)
        if anomaly_map is not None:
            anomaly_map, box = view.over_image(anomaly_map, size, offset)
            covered = box_in_shares(box, *size)
    return ScoredImage(
        image_key=row["image_key"],
        score=row["score"],
        threshold=row["threshold"],
        is_anomalous=row["is_anomalous"],
        p_value=row["p_value"],
        anomalous_area=row["anomalous_area"],
        label=row["label"],
        kind=row["kind"],
        pixel_threshold=card.pixel_threshold.value if card else None,
        map_threshold=card.map_threshold if card else None,
        boxes=boxes_in_shares(row["defect_boxes"], *size),
        picture=_picture(store, images, row, card.preprocessing.decoding if card else {}),
        anomaly_map=anomaly_map,
        covered=covered,
        ignored=view.ignored_on((PICTURE_SIDE, PICTURE_SIDE), size, offset) if view else None,
    )


def _picture(
    store: Store, images: Store, row: Mapping[str, Any], decoding: Mapping[str, Any]
) -> NDArray[np.uint8] | None:
    try:
        data = images.read(row["image_key"])
        with room_for(data):
            picture = shrunk(decode(data, **decoding), PICTURE_SIDE)
    except TransientFault:
        raise
    except (StorageError, UnreadableImage):  # removed or changed since it was scored: row and map remain
        return None
    if row["mask_key"] is None:
        return picture
    try:
        return outlined(picture, read_mask(store, row["mask_key"]))
    except Uncountable:  # listed among the problems
        return picture


def _map(store: Store, row: Mapping[str, Any]) -> NDArray[np.floating] | None:
    if row["map_store"] is None or row["map_index"] is None:
        return None
    try:
        values = anomaly_maps.read_map(store, row["map_store"], row["map_index"])
    except (KeyNotFound, CorruptObject):
        return None
    return None if np.isnan(values).all() else values
