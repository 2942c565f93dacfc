"""The images that judge candidate and champion: neither was trained, stopped or calibrated on them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from storage.filesystem import Store
from storage.labels import labels
from storage.models.card import ModelCard
from tasks.reporting.fair_judges import FairJudges

EVALUATION, DEFECT, HELD_OUT = "evaluation", "defect", "held out"


@dataclass(frozen=True)
class GateImage:
    """One image of the gate."""

    key: str
    part: str
    is_anomalous: bool
    kind: str | None
    mask_key: str | None
    source: str
    """evaluation: labelled for it; defect: labelled anomalous; held out: a new normal of the candidate's test set"""


@dataclass(frozen=True)
class GateSet:
    """The images of the gate, and the labelled images left out."""

    images: tuple[GateImage, ...]
    """sorted by key"""
    left_out: tuple[tuple[str, str], ...]
    """(key, why)"""


def gate_set(
    store: Store,
    category: str,
    champion: ModelCard,
    candidate: ModelCard,
    part_pattern: str | None,
    chose: Collection[str] = (),
) -> GateSet:
    """Images labelled for evaluation, anomalous ones of any purpose, and the candidate's held-out normals that are
    new to the champion. Equal labels and cards give an equal set.

    chose: keys of images that chose the candidate's method, which its figures there and on other images of their
    parts flatter.
    """
    rows = labels.read_labels(store, category).to_pylist()
    seen = {*champion.images.seen, *candidate.images.seen}
    judges = FairJudges.of([row["image_key"] for row in rows], part_pattern, seen, chose)
    new = {*candidate.images.test} - {*champion.images.duplicates}
    disputed = {
        contradiction.image_key for contradiction in labels.contradictions(labels.read_label_history(store, category))
    }
    chosen: list[tuple[Mapping[str, Any], str]] = []
    left_out: list[tuple[str, str]] = []
    for row in rows:
        source = _source(row, new)
        if source is None:
            continue
        why = judges.why_not(row["image_key"], is_anomalous=row["label"] == "anomalous")
        if why is not None:
            left_out.append((row["image_key"], why))
        elif row["image_key"] in disputed:
            left_out.append((row["image_key"], "People disagree on it. Let one of them look again."))
        else:
            chosen.append((row, source))
    return GateSet(
        tuple(_image(row, source, judges.part_of[row["image_key"]]) for row, source in chosen), tuple(left_out)
    )


def _source(row: Mapping[str, Any], new: set[str]) -> str | None:
    if row["purpose"] == "evaluation":
        return EVALUATION
    if row["label"] == "anomalous":
        return DEFECT
    return HELD_OUT if row["image_key"] in new else None


def _image(row: Mapping[str, Any], source: str, part: str) -> GateImage:
    anomalous = row["label"] == "anomalous"
    kind = row["kind"] if anomalous else None
    return GateImage(row["image_key"], part, anomalous, kind, row["mask_key"] if anomalous else None, source)
