"""The newest alarms of a model version, with their images."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

import numpy as np

from rd_core.pictures.alignment import OFFSET_COLUMNS
from reports.scored_image import ScoredImage
from storage.filesystem import Store
from storage.models import models
from storage.models.card import ModelCard
from tasks.drift.assess_drift import ModelDrift
from tasks.drift.drift_window import comparable_versions, rows_of_day
from tasks.reporting.scored_picture import scored_image

_COLUMNS = (
    *("image_key", "score", "threshold", "is_anomalous", "p_value", "anomalous_area"),
    *("map_store", "map_index", "defect_boxes", "image_height", "image_width", *OFFSET_COLUMNS),
)
_NOT_ASKED = {"label": None, "kind": None, "mask_key": None}


def pictured_alarms(store: Store, images: Store, drift: ModelDrift) -> tuple[tuple[str, ScoredImage], ...]:
    """(ISO date, image with picture and map) of each of `drift.newest_alarms`, in order.

    Missing pictures and maps are left out. Raises KeyNotFound, CorruptObject for a missing or damaged card or part.
    """
    keys = defaultdict(set)
    for alarm in drift.newest_alarms:
        keys[alarm.day].add(alarm.image_key)
    card = models.read_card(store, drift.category, drift.model_version)
    versions = comparable_versions(store, card)
    days = {day: date.fromisoformat(day) for day in keys}
    rows = {day: _rows(store, card, versions(days[day]), days[day], wanted) for day, wanted in keys.items()}
    return tuple(
        (alarm.day, scored_image(store, images, rows[alarm.day][alarm.image_key], card))
        for alarm in drift.newest_alarms
    )


def _rows(
    store: Store, card: ModelCard, versions: Collection[str], day: date, wanted: set[str]
) -> Mapping[str, Mapping[str, Any]]:
    """With the card's threshold, also where a version with the same weights decided by another."""
    table = rows_of_day(store, card.category, versions, day, _COLUMNS)
    chosen = [number for number, key in enumerate(table["image_key"].to_pylist()) if key in wanted]
    return {
        row["image_key"]: {**row, **_NOT_ASKED, "threshold": float(np.float32(card.threshold.value))}
        for row in table.take(chosen).to_pylist()
    }
