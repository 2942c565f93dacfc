"""Compare a round's store with the undisturbed run."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field, fields, replace
from datetime import date

import numpy as np

from storage import layout
from storage.errors import CorruptObject, KeyNotFound
from storage.filesystem import Store
from storage.images import list_images
from storage.models import models
from storage.partitions import anomaly_maps, manifests, scores, seals
from storage.partitions.scores import ScoreRow
from storage.partitions.seals import Seal, SealedPlan
from storage.records import ObjectInfo, Plan
from storage.verification.verification import Scope, verify

Reference = Mapping[tuple[str, str], tuple[ScoreRow, bytes | None]]
"""by model version and image key: the row, and the float32 bytes of its map"""


@dataclass
class Losses:
    """Counts of losses; all 0 when nothing is lost."""

    lost: int = 0
    """images without a row of the champion"""
    twice: int = 0
    """duplicate rows"""
    maps_without_rows: int = 0
    rows_without_maps: int = 0
    changed: int = 0
    """rows, maps, or counts in seals that differ from the undisturbed run"""
    wrong: int = 0
    """findings of `verify --deep`"""
    notes: list[str] = field(default_factory=list)
    """the first findings as text"""

    @property
    def nothing(self) -> bool:
        return not any(value for value in astuple(self) if isinstance(value, int))

    def count(self, name: str, number: int, note: str) -> None:
        """Add `number` losses of a kind."""
        if number:
            setattr(self, name, getattr(self, name) + number)
            self.notes.append(f"{name} {number}: {note}")


COUNTS = tuple(count.name for count in fields(Losses) if count.name != "notes")


def read_reference(store: Store) -> Reference:
    """Read every sealed row and map of an undisturbed run."""
    reference: dict[tuple[str, str], tuple[ScoreRow, bytes | None]] = {}
    for seal in seals.list_seals(store):
        for sealed in seal.plans:
            maps = _maps(store, sealed.map_store, sealed.images)
            for row in scores.to_rows(scores.read_scores(store, [part.key for part in sealed.parts])):
                picture = None if row.map_index is None else maps[row.map_index].tobytes()
                reference[row.model_version, row.image_key] = (row, picture)
    return reference


def examine(
    store: Store, images: Store, reference: Reference, days: Iterable[date], categories: Iterable[str]
) -> Losses:
    """Check every sealed row and map of the store, and each image of these days and categories."""
    losses, seen = Losses(), Counter[tuple[str, str, str]]()
    for seal in seals.list_seals(store):
        for sealed in seal.plans:
            seen.update(_examine_plan(store, seal, sealed, reference, losses))
    for category in categories:
        champion = models.read_champion(store, category)
        version = champion.version if champion else ""
        for day in days:
            missing = [i.key for i in list_images(images, category, day) if not seen[version, i.key, i.etag]]
            losses.count("lost", len(missing), f"{version} {missing[:1]}")
    losses.count("twice", sum(times - 1 for times in seen.values()), str(seen.most_common(1)))
    _examine_unsealed(store, losses)
    verification = verify(store, images, Scope(deep=True))
    losses.count(
        "wrong",
        verification.wrong,
        "; ".join(finding.what for finding in verification.findings if finding.wrong)[:300],
    )
    return losses


def _examine_plan(
    store: Store, seal: Seal, sealed: SealedPlan, reference: Reference, losses: Losses
) -> list[tuple[str, str, str]]:
    """(model version, image, etag) of each row of the plan."""
    plan, planned = manifests.read_plan(store, sealed.manifest), manifests.read_manifest(store, sealed.manifest)
    maps = _maps(store, sealed.map_store, sealed.images)
    seen: list[tuple[str, str, str]] = []
    statuses = Counter[str]()
    mapped = set()
    for index, part in enumerate(sealed.parts):
        start = index * plan.batch_size
        expected = _expected(plan, planned[start : start + plan.batch_size], start, reference)
        rows = _rows(store, part.key)
        if rows is None or not _is_of(store, part.key, expected):
            odd = sum(a != b for a, b in zip(rows or [], expected, strict=False))
            losses.count("changed", odd or 1, f"rows of {part.key}")
        for row in rows or []:
            seen.append((row.model_version, row.image_key, row.etag))
            statuses[row.status] += 1
            if row.map_index is None:
                continue
            mapped.add(row.map_index)
            wanted = reference[row.model_version, row.image_key][1]
            if np.isnan(maps[row.map_index]).all():
                losses.count("rows_without_maps", 1, f"{row.image_key} of {sealed.map_store}")
            elif maps[row.map_index].tobytes() != wanted:
                losses.count("changed", 1, f"map of {row.image_key}")
    there = {i for i in range(len(maps)) if not np.isnan(maps[i]).all()}
    losses.count("maps_without_rows", len(there - mapped), sealed.map_store)
    counted = (len(seen), statuses["ok"], statuses["unreadable"], statuses["rejected"])
    promised = (sealed.images, sealed.ok, sealed.unreadable, sealed.rejected)
    losses.count(
        "changed", int(counted != promised), f"the seal of {seal.partition} counts {promised}, rows {counted}"
    )
    return seen


def _expected(plan: Plan, images: list[ObjectInfo], start: int, reference: Reference) -> list[ScoreRow]:
    """The undisturbed run's rows as this plan would have written them."""
    rows = []
    for i, image in enumerate(images, start):
        row, _ = reference[plan.partition.model_version, image.key]
        rows.append(
            replace(
                row,
                etag=image.etag,
                captured_at=image.modified,
                run_id=plan.run_id,
                scored_at=plan.planned_at,
                map_store=plan.map_store,
                map_index=None if row.map_index is None else i,
            )
        )
    return rows


def _examine_unsealed(store: Store, losses: Losses) -> None:
    """A part without a seal may be reused by a later run, so it must have its maps too."""
    sealed = {part.key for seal in seals.list_seals(store) for plan in seal.plans for part in plan.parts}
    for info in store.list(layout.scores_root()):
        if info.key in sealed:
            continue
        for row in _rows(store, info.key) or []:
            if row.map_index is None or row.map_store is None:
                continue
            try:
                empty = bool(np.isnan(anomaly_maps.read_map(store, row.map_store, row.map_index)).all())
            except (KeyNotFound, CorruptObject):
                empty = True
            losses.count("rows_without_maps", int(empty), f"{row.image_key} of unsealed {row.map_store}")


def _is_of(store: Store, key: str, rows: list[ScoreRow]) -> bool:
    """Whether the part has exactly the bytes of these rows; maps are compared separately."""
    data = store.read(key)
    return data == scores.part_bytes(scores.to_table(rows), scores.part_with_maps(data, key)[1])


def _rows(store: Store, key: str) -> list[ScoreRow] | None:
    try:
        return scores.to_rows(scores.read_part(store, key))
    except (KeyNotFound, CorruptObject):
        return None


def _maps(store: Store, key: str, images: int) -> np.ndarray:
    """float32 (images, H, W); NaN where missing."""
    try:
        return anomaly_maps.read_maps(store, key, range(images))
    except (KeyNotFound, CorruptObject):
        return np.full((images, 1, 1), np.nan, np.float32)
