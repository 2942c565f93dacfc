"""Labelled normals that a model has not learned from, as a new basis of its threshold."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from storage.filesystem import Store
from storage.labels import labels
from storage.layout import production_day
from storage.models.card import ModelCard

FEWEST_NORMALS = 16
"""labelled normals for a threshold of their own, as a retraining needs"""
CONTRADICTION = "contradiction"
OTHER_DAY = "other day"


@dataclass(frozen=True)
class LabelledNormals:
    """The labelled normals of a category, as far as labels alone can tell."""

    days: dict[str, date]
    """production day by key of those to use, sorted by key"""
    left_out: dict[str, str]
    """reason by key of the others"""


def labelled_normals(
    store: Store,
    category: str,
    learned: ModelCard,
    first: date | None,
    last: date | None,
    *,
    held_out: bool = False,
) -> LabelledNormals:
    """Those labelled normal for training, of the days from first to last, that the training behind `learned` did not
    have; the production day is that of the key, else the label's.

    Normals that only set an earlier threshold of the same weights are among them; with `held_out` those too that set
    that of the training. Normals labelled for evaluation judge models and are not. Raises StorageError for unreadable
    labels.
    """
    known = {*learned.images.used, *learned.images.duplicates}
    if held_out:
        known -= {*learned.images.calibration}
    disputed = {
        contradiction.image_key for contradiction in labels.contradictions(labels.read_label_history(store, category))
    }
    days: dict[str, date] = {}
    left_out: dict[str, str] = {}
    for row in labels.read_labels(store, category).to_pylist():
        key = row["image_key"]
        if (row["label"], row["purpose"]) != ("normal", "training") or key in known:
            continue
        day = production_day(key) or row["labelled_at"].date()
        if not (first or day) <= day <= (last or day):
            left_out[key] = OTHER_DAY
        elif key in disputed:
            left_out[key] = CONTRADICTION
        else:
            days[key] = day
    return LabelledNormals(days, left_out)


def not_normal(store: Store, category: str) -> Collection[str]:
    """Keys of images that are labelled anomalous, or kept to judge models."""
    rows = labels.read_labels(store, category).to_pylist()
    return {row["image_key"] for row in rows if row["label"] != "normal" or row["purpose"] != "training"}
