"""A sealed night with maps, masks and labels that are known to the pixel: what an evaluation reads."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from PIL import Image

from proofs.model_cards import made_up_card
from storage.filesystem import Store
from storage.labels import labels
from storage.labels.labels import Label
from storage.layout import card_key, image_key, mask_key, part_key
from storage.models import card
from storage.partitions import scores, seals
from storage.partitions.anomaly_maps import MapArray, create_maps, write_batch_maps
from storage.partitions.manifests import publish_plan
from storage.partitions.scores import ScoreRow
from storage.records import ObjectInfo, Partition, Plan
from tests.factories import DAY, NOW, png

SIDE = 24
"""pixels of a map; images and masks are twice as large"""
THRESHOLD = 1.0


@dataclass(frozen=True, eq=False)
class Shot:
    """One image of the night."""

    name: str
    values: np.ndarray
    """float16 [SIDE, SIDE], the map; its maximum is the score"""
    label: str | None = None
    mask: np.ndarray | None = None
    """bool [2 * SIDE, 2 * SIDE]"""
    kind: str | None = None
    purpose: str = "evaluation"
    status: str = "ok"
    mask_bytes: bytes | None = None
    """what lies under the mask's key instead"""

    @property
    def score(self) -> float:
        return float(np.nanmax(self.values))


def night(seed: int = 0, normal: int = 12, anomalous: int = 10) -> list[Shot]:
    """Noise, and squares of several sizes in it that are not all above the threshold."""
    random = np.random.default_rng(seed)
    shots = [Shot(f"good/{i:03}.png", _noise(random, 0.55 + 0.6 * random.random()), "normal") for i in range(normal)]
    for i in range(anomalous):
        mask = np.zeros((SIDE, SIDE), np.bool_)
        for _ in range(1 + i % 2):
            row, column = random.integers(0, SIDE - 6, 2)
            mask[row : row + 1 + i % 5, column : column + 1 + i % 4] = True
        values = _noise(random, 0.8)
        values[mask] += random.uniform(0.1, 0.9)
        kind = ("hole", "stain")[i % 2]
        shots.append(Shot(f"{kind}/{i:03}.png", values.astype(np.float16), "anomalous", twice(mask), kind))
    return shots


def twice(mask: np.ndarray) -> np.ndarray:
    """A mask of the map's pixels as one of the image's."""
    return mask.repeat(2, axis=0).repeat(2, axis=1)


def put_night(
    store: Store, category: str, shots: Sequence[Shot], day: date = DAY, version: str = "v1", *, name: str = "night"
) -> Partition:
    """Images, maps, scores, seal, masks and labels of a night; another call adds a plan to the same seal."""
    partition = Partition(category, day, version)
    infos = [_image(store, image_key(category, day, shot.name), seed, name) for seed, shot in enumerate(shots)]
    before = seals.last_plan_with(store, seals.read_seal(store, partition), [info.key for info in infos])
    plan = publish_plan(
        store, partition, infos, preprocessing="p1", batch_size=8, run_id=name, planned_at=NOW,
        supersedes=before.digest if before else None,
    )  # fmt: skip
    create_maps(store, plan.map_store, MapArray(len(shots), SIDE, SIDE, batch_size=8))
    parts = []
    for index in range(0, len(shots), 8):
        some = shots[index : index + 8]
        maps = [shot.values if shot.status == "ok" else np.full((SIDE, SIDE), np.nan) for shot in some]
        write_batch_maps(store, plan.map_store, index // 8, np.stack(maps).astype(np.float16))
        rows = [_row(partition, plan, infos[index + i], index + i, shot) for i, shot in enumerate(some)]
        key = part_key(category, day, version, f"{plan.digest}{index}")
        digest, count = scores.write_part(store, key, rows)
        parts.append(seals.SealedPart(key, count, digest))
    ok = sum(shot.status == "ok" for shot in shots)
    seals.add_plan(
        store,
        partition,
        seals.SealedPlan(
            plan.manifest, plan.digest, plan.map_store, len(shots), ok, len(shots) - ok, 0, 0, tuple(parts), name,
            NOW, supersedes=plan.supersedes,
        ),
    )  # fmt: skip
    labels.write_labels(store, category, list(_labels(store, category, day, shots)), f"{name}-{day}")
    return partition


def put_card(store: Store, category: str, version: str = "v1", **fields: object) -> None:
    """A model card alone, in place of an earlier one: evaluations load no weights."""
    changes: dict[str, Any] = {"threshold": {"value": THRESHOLD}, **fields}
    store.write(card_key(category, version), card.to_bytes(made_up_card(category, version, side=SIDE, **changes)))


def _noise(random: np.random.Generator, top: float) -> np.ndarray:
    return (random.random((SIDE, SIDE)) * top).astype(np.float16)


def _image(store: Store, key: str, seed: int, name: str) -> ObjectInfo:
    data = png(seed, (2 * SIDE, 2 * SIDE))
    store.write(key, data)
    return ObjectInfo(key, f"{name}{seed}", len(data), NOW)


def _row(partition: Partition, plan: Plan, info: ObjectInfo, index: int, shot: Shot) -> ScoreRow:
    row = ScoreRow(
        image_key=info.key, etag=info.etag, content_digest="0" * 64, category=partition.category,
        run_date=partition.run_date, captured_at=NOW, model_version=partition.model_version, preprocessing="p1",
        score=shot.score, threshold=THRESHOLD, p_value=0.5, is_anomalous=shot.score > THRESHOLD, status="ok",
        error=None, map_store=plan.map_store, map_index=index,
        anomalous_area=float((shot.values > THRESHOLD).mean()), image_height=2 * SIDE, image_width=2 * SIDE,
        scored_at=NOW, run_id=plan.run_id,
    )  # fmt: skip
    if shot.status == "ok":
        return row
    return replace(
        row, score=None, p_value=None, is_anomalous=None, status=shot.status, error="the file is empty (0 bytes)",
        map_index=None, anomalous_area=None,
    )  # fmt: skip


def _labels(store: Store, category: str, day: date, shots: Sequence[Shot]) -> Iterator[Label]:
    for shot in shots:
        if shot.label is None:
            continue
        key = None
        if shot.mask is not None or shot.mask_bytes is not None:
            key = mask_key(category, day, shot.name)
            store.write(key, _mask_png(shot.mask) if shot.mask_bytes is None else shot.mask_bytes)
        yield Label(image_key(category, day, shot.name), shot.label, key, "test", NOW, shot.kind, shot.purpose)


def _mask_png(mask: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(out, "PNG")
    return out.getvalue()
