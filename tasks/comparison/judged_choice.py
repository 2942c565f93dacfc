"""Which labelled images train the contenders of a comparison, and which judge them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rd_core.calibration import holdout
from rd_core.comparison.halves import FEWEST_PARTS
from storage.filesystem import Store
from storage.labels import labels

MOST_HELD_OUT = 1 / 3
"""share of the training normals, at most, that judge where few are labelled for evaluation"""


@dataclass(frozen=True)
class LabelledImages:
    """A category's labelled images that nobody disputes, by key."""

    training: tuple[str, ...]
    """normals"""
    evaluation: tuple[str, ...]
    """normals kept apart from all training"""
    anomalous: Mapping[str, Mapping[str, Any]]
    """rows of the labels"""
    disputed: int
    """images that people disagree on, which are left out"""

    @property
    def keys(self) -> list[str]:
        """All, training normals first."""
        return [*self.training, *self.evaluation, *self.anomalous]


def labelled_images(store: Store, category: str) -> LabelledImages:
    """Raises StorageError for unreadable labels."""
    disputed = {one.image_key for one in labels.contradictions(labels.read_label_history(store, category))}
    rows = labels.read_labels(store, category).to_pylist()
    sure = [row for row in rows if row["image_key"] not in disputed]
    normal = [row for row in sure if row["label"] == "normal"]
    return LabelledImages(
        tuple(row["image_key"] for row in normal if row["purpose"] == "training"),
        tuple(row["image_key"] for row in normal if row["purpose"] == "evaluation"),
        {row["image_key"]: row for row in sure if row["label"] == "anomalous"},
        len(rows) - len(sure),
    )


@dataclass(frozen=True)
class ComparedNormals:
    """The normals of a comparison, by use; no part is on two sides."""

    learnt_from: tuple[str, ...]
    """keys of those that are split"""
    split: holdout.Split
    """of these; `test` judges"""
    left_out: int
    """training normals whose parts judge"""

    def keys(self, name: str) -> tuple[str, ...]:
        """Of one set of the split."""
        return tuple(self.learnt_from[number] for number in getattr(self.split, name))


def divide_normals(
    training: Sequence[str], evaluation: Sequence[str], part_of: Mapping[str, str], seed: int
) -> ComparedNormals:
    """One split of the normals for all contenders, by whole parts. Normals labelled for evaluation judge, and where
    they are too few for two halves, some of the others, too. Raises TooFewNormals."""
    judging = {part_of[key] for key in evaluation}
    learnt_from = tuple(key for key in training if part_of[key] not in judging)
    missing = max(0, 2 * FEWEST_PARTS - len(judging)) / max(1, len({part_of[key] for key in learnt_from}))
    split = holdout.split(
        learnt_from,
        [part_of[key] for key in learnt_from],
        test=min(MOST_HELD_OUT, missing),
        seed=seed,
    )
    return ComparedNormals(learnt_from, split, len(training) - len(learnt_from))
