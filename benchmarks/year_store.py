"""A generated year of scores: parts, seals and labels as nights would have left them, without images or maps.

Rows, writer options, keys, seals and copies are the product's own. A year has 150,000 parts, which take an hour to
write: without them the store has the copies of its merged days, which queries read in their place. Days that are
there are kept, so that an interrupted generation goes on.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage import layout
from storage.analysis.compaction import write_copy
from storage.analysis.merged_days import put_into_index, read_index, seals_by_day
from storage.filesystem import Store
from storage.labels.labels import Label, write_labels
from storage.partitions import scores, seals
from storage.partitions.manifests import batch_digest
from storage.partitions.seals import SealedPart, SealedPlan
from storage.records import Partition
from storage.stores import parquet
from tasks.night.plan_batches import batch_size_for

FIRST_DAY = date(2025, 1, 1)
CALIBRATION = 400
MAP_BYTES = 2 * 256**2
"""normals behind the p-values"""
THRESHOLD = 2.0
SECOND_VERSION_DAYS = 30
"""at the year's end, which a second model version scored again"""
SECOND_VERSION_EVERY = 5
"""of so many categories one has a second version"""
LABELLED = 0.002
"""share of images"""


@dataclass(frozen=True)
class Year:
    """What is generated."""

    rows: int
    """of the first version; the second's come on top"""
    categories: int
    nights: int = 365
    parts: bool = False
    """write the parts too, of which a year has 150,000"""

    def days(self) -> list[date]:
        return [FIRST_DAY + timedelta(days=day) for day in range(self.nights)]

    def names(self) -> list[str]:
        return [f"part-{number:02}" for number in range(self.categories)]

    def images(self, day: int, category: int) -> int:
        """Of that day and category: all alike, but for what does not divide."""
        nights = self.nights * self.categories
        return self.rows // nights + (day * self.categories + category < self.rows % nights)


def write_year(store: Store, year: Year) -> None:
    """Write what is not there yet: copies of merged days and seals, whose parts are written only with `parts`."""
    merged = set(read_index(store)["run_date"].to_pylist())
    waiting: dict[date, pa.Table] = {}
    for number, day in enumerate(year.days()):
        if day in merged:
            continue
        rows = pa.concat_tables(_write_day(store, year, number, day)).sort_by("image_key")
        read = {key: store.read_with_etag(key) for key, _ in seals_by_day(store, day)[day]}
        sealed = {key: (etag, seals.from_bytes(data, key)) for key, (data, etag) in read.items()}
        waiting[day] = write_copy(store, day, sealed, rows)
        if len(waiting) == SECOND_VERSION_DAYS:
            put_into_index(store, waiting)
            waiting = {}
    put_into_index(store, waiting)
    for category, name in enumerate(year.names()):
        write_labels(store, name, list(_labels(year, category)), "year")


def _write_day(store: Store, year: Year, number: int, day: date) -> Iterator[pa.Table]:
    for category, name in enumerate(year.names()):
        images = year.images(number, category)
        again = category % SECOND_VERSION_EVERY == 0 and number >= year.nights - SECOND_VERSION_DAYS
        for version in ("v1", "v2") if again else ("v1",):
            if images:
                yield write_night(store, Partition(name, day, version), images, with_parts=year.parts)


def write_night(store: Store, partition: Partition, images: int, *, with_parts: bool) -> pa.Table:
    """One sealed plan, in parts of as many rows as a run would choose; its rows."""
    plan = _digest(f"{partition} {images}")
    map_store = layout.map_store_key(partition.category, partition.run_date, partition.model_version, plan)
    night = _night(partition, images, map_store)
    size = batch_size_for(images, MAP_BYTES)
    parts = []
    for index, start in enumerate(range(0, images, size)):
        rows = night.slice(start, size)
        data = parquet.to_bytes(rows) if with_parts else b""
        key = layout.part_key(*_of(partition), batch_digest(plan, index))
        if with_parts:
            store.write(key, data)
        parts.append(SealedPart(key, len(rows), hashlib.sha256(data).hexdigest()))
    ok, unreadable, rejected = (night["status"].to_pylist().count(status) for status in scores.STATUSES)
    anomalous = night["is_anomalous"].to_pylist().count(True)
    manifest = layout.manifest_key(partition.category, partition.run_date, plan)
    at = night["scored_at"][0].as_py()
    sealed = SealedPlan(
        manifest, plan, map_store, images, ok, unreadable, rejected, anomalous, tuple(parts), plan, at
    )
    seals.add_plan(store, partition, sealed)
    return night


def _of(partition: Partition) -> tuple[str, date, str]:
    return partition.category, partition.run_date, partition.model_version


def _night(partition: Partition, images: int, map_store: str) -> pa.Table:
    """The rows of a night; 1 in 1,000 unreadable."""
    random = np.random.default_rng(int(_digest(str(replace(partition, model_version=""))), 16))
    bad = random.random(images) < 0.001
    columns = _images(partition, images, random, bad) | _judgement(partition, images, random, bad)
    columns |= {
        "map_store": [map_store] * images,
        "map_index": pa.array(np.arange(images, dtype=np.int32), mask=bad),
        "run_id": [_digest(f"{partition.run_date} {partition.model_version}")] * images,
    }
    columns["defect_boxes"] = pa.array(columns["defect_boxes"], scores.SCHEMA.field("defect_boxes").type)
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in scores.SCHEMA]
    return pa.Table.from_arrays(arrays, schema=scores.SCHEMA)


def _images(
    partition: Partition, images: int, random: np.random.Generator, bad: NDArray[np.bool_]
) -> dict[str, object]:
    """Which images there were, and what is known of each without a model."""
    prefix = layout.images_prefix(partition.category, partition.run_date)
    digests = random.bytes(32 * images).hex()
    seconds = np.sort(random.integers(0, 16 * 3600, images))
    began = np.datetime64(_morning(partition).replace(tzinfo=None), "us")

    def normal(mean: float, spread: float) -> pa.Array:
        return pa.array(random.normal(mean, spread, images).astype(np.float32), mask=bad)

    return {
        "image_key": [f"{prefix}cam1/{number:06}.jpg" for number in range(images)],
        "etag": [digests[64 * n : 64 * n + 32] for n in range(images)],
        "content_digest": pa.array([digests[64 * n : 64 * n + 64] for n in range(images)], mask=bad),
        "category": [partition.category] * images,
        "run_date": [partition.run_date] * images,
        "captured_at": pa.array(began + seconds.astype("m8[s]")),
        "preprocessing": ["1"] * images,
        "status": ["unreadable" if one else "ok" for one in bad],
        "error": ["the image data is cut off or damaged" if one else None for one in bad],
        "image_height": pa.array(np.full(images, 1024, np.int32), mask=bad),
        "image_width": pa.array(np.full(images, 1024, np.int32), mask=bad),
        "brightness": normal(0.5, 0.02),
        "contrast": normal(0.2, 0.01),
        "sharpness": normal(1.5, 0.1),
        "edge_centre_x": normal(0.5, 0.01),
        "edge_centre_y": normal(0.5, 0.01),
    }


def _judgement(
    partition: Partition, images: int, random: np.random.Generator, bad: NDArray[np.bool_]
) -> dict[str, object]:
    """What the model says: lognormal scores whose spread grows over the year, 1 % defects."""
    version = partition.model_version
    spread = 0.2 + 0.0002 * (partition.run_date - FIRST_DAY).days
    defect = random.random(images) < 0.01
    found = np.exp(random.normal(0, spread, images)) + np.where(defect, random.gamma(3, 0.6, images), 0)
    if version != "v1":
        found = found * 0.97 + random.normal(0, 0.02, images)
    found = found.astype(np.float32)
    reference = np.sort(np.exp(np.random.default_rng(0).normal(0, 0.2, CALIBRATION)))
    p_value = (1 + CALIBRATION - np.searchsorted(reference, found)) / (CALIBRATION + 1)
    alarm = found > THRESHOLD
    area = pa.array(np.where(alarm, random.beta(1, 40, images), 0).astype(np.float32), mask=bad)
    return {
        "model_version": [version] * images,
        "score": pa.array(found, mask=bad),
        "threshold": np.full(images, THRESHOLD, np.float32),
        "p_value": pa.array(p_value, mask=bad),
        "is_anomalous": pa.array(alarm, mask=bad),
        "anomalous_area": area,
        "scored_at": [_morning(partition) + timedelta(hours=20 if version == "v1" else 44)] * images,
        "feature_distance": pa.array(random.gamma(4, 0.1, images).astype(np.float32), mask=bad),
        "decision": pa.array(np.where(found > 2.1, "reject", np.where(found > 1.9, "review", "accept")), mask=bad),
        "defect_area": area,
        "defect_boxes": [None if b else _boxes(a, s) for a, b, s in zip(alarm, bad, found, strict=True)],
    }


def _morning(partition: Partition) -> datetime:
    return datetime.combine(partition.run_date, datetime.min.time(), UTC) + timedelta(hours=6)


def _boxes(alarm: bool, score: float) -> list[dict[str, object]]:
    return [{"top": 100, "left": 200, "height": 40, "width": 60, "peak": float(score)}] if alarm else []


def _labels(year: Year, category: int) -> Iterator[Label]:
    random = np.random.default_rng(category)
    name = year.names()[category]
    for number, day in enumerate(year.days()):
        images = year.images(number, category)
        at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(days=2)
        for image in np.flatnonzero(random.random(images) < LABELLED):
            word = "anomalous" if random.random() < 0.2 else "normal"
            key = layout.image_key(name, day, f"cam1/{image:06}.jpg")
            yield Label(key, word, None, "reviewer", at, "scratch" if word == "anomalous" else None, "evaluation")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
