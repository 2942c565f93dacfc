"""The records that cross borders: small, frozen, plain."""

from dataclasses import dataclass, field
from datetime import date, datetime

TORCH = "torch"
"""the engine of a plan that names none"""


@dataclass(frozen=True)
class ObjectInfo:
    """One object of a store, as a listing shows it."""

    key: str
    etag: str
    """Changes whenever the bytes change; opaque."""
    size: int
    """bytes"""
    modified: datetime
    """UTC"""


@dataclass(frozen=True)
class Partition:
    """One category's images of one production day, scored by one model version."""

    category: str
    run_date: date
    model_version: str


@dataclass(frozen=True)
class Plan:
    """What one run is to score of a partition; its images stand in the manifest, in order."""

    partition: Partition
    digest: str
    """SHA-256 (hex, 16 characters) of images, etags, model version, preprocessing, batch size, engine and
    `supersedes`"""
    manifest: str
    """key of the manifest"""
    map_store: str
    """key of the zarr array, float16 [images, H, W]"""
    images: int
    batch_size: int
    run_id: str
    """of the run that planned this content first; a later run of the same content keeps it"""
    planned_at: datetime
    """UTC; likewise of the first run"""
    engine: str = TORCH
    """the library that computes the scores, with its version unless it is torch: 'openvino 2026.4.1'"""
    supersedes: str | None = None
    """digest of the sealed plan that had one of these images last, as another picture; None if all are new"""


@dataclass(frozen=True)
class Batch:
    """The images one task scores: one zarr shard and one Parquet part."""

    plan: Plan
    index: int
    """the shard; the batch's images are manifest rows [index * batch_size, ...)"""
    digest: str
    """SHA-256 (hex, 16 characters) of the plan's digest and the index; names the Parquet part"""

    @property
    def start(self) -> int:
        return self.index * self.plan.batch_size

    @property
    def stop(self) -> int:
        return min(self.start + self.plan.batch_size, self.plan.images)


@dataclass(frozen=True)
class Shard:
    """The maps of a batch as they were written: one object."""

    digest: str
    """SHA-256 (hex) of its bytes"""
    size: int
    """bytes"""


@dataclass(frozen=True)
class Receipt:
    """What a scored batch reports of itself. Never arrays."""

    part: str
    """key of the Parquet part"""
    digest: str
    """SHA-256 (hex) of the part's bytes"""
    rows: int
    ok: int
    unreadable: int
    rejected: int
    anomalous: int
    seconds: dict[str, float] = field(default_factory=dict)
    """by stage: read, decode, forward, write; empty when the part was there already"""


@dataclass(frozen=True)
class Champion:
    """Which version is in force, and how it came to be."""

    version: str
    since: datetime
    by: str
    history: tuple["Champion", ...] = ()
    """earlier champions, newest first, each without a history of its own"""
    rolled_back_from: str | None = None
    """the version that it took the place of by a rollback; None after a promotion"""
