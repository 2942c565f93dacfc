"""Small frozen records that are passed between packages."""

from dataclasses import dataclass, field
from datetime import date, datetime

TORCH = "torch"
"""the default engine of a plan"""


@dataclass(frozen=True)
class ObjectInfo:
    """One object of a store, from a listing."""

    key: str
    etag: str
    """opaque; changes whenever the bytes change"""
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
    """The images that one run scores of a partition; the manifest lists them in order."""

    partition: Partition
    digest: str
    """SHA-256 (hex, 16 characters) of images, etags, model version, preprocessing, batch size, engine, `supersedes`
    and `redecides`"""
    manifest: str
    """key of the manifest"""
    map_store: str
    """key of the zarr array, float16 [images, H, W]"""
    images: int
    batch_size: int
    run_id: str
    """of the first run that planned this content; later runs keep it"""
    planned_at: datetime
    """UTC; of the first run too"""
    engine: str = TORCH
    """the library that computes the scores, with its version unless it is torch: 'openvino 2026.4.1'"""
    supersedes: str | None = None
    """digest of the sealed plan that had one of these images last, with other content; None if all are new"""
    redecides: str | None = None
    """model version with comparable scores, whose sealed ones are decided anew: the maps are those of its rows; None:
    the images are scored"""


@dataclass(frozen=True)
class Batch:
    """The images of one task: one zarr shard and one Parquet part."""

    plan: Plan
    index: int
    """the shard; the batch's images are manifest rows [index * batch_size, ...)"""
    digest: str
    """SHA-256 (hex, 16 characters) of the plan's digest and the index; part of the Parquet part's name"""

    @property
    def start(self) -> int:
        return self.index * self.plan.batch_size

    @property
    def stop(self) -> int:
        return min(self.start + self.plan.batch_size, self.plan.images)


@dataclass(frozen=True)
class Shard:
    """The written maps of a batch: one object."""

    digest: str
    """SHA-256 (hex) of its bytes"""
    size: int
    """bytes"""


@dataclass(frozen=True)
class Receipt:
    """The summary of a scored batch, without arrays."""

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
    """by stage: read, decode, forward, write; empty if the part existed already"""


@dataclass(frozen=True)
class Champion:
    """The version in force and its history."""

    version: str
    since: datetime
    by: str
    history: tuple["Champion", ...] = ()
    """earlier champions, newest first, without their own history"""
    rolled_back_from: str | None = None
    """the version that a rollback replaced; None after a promotion"""
    overruled: str | None = None
    """the gate's words against this version, which a person promoted nevertheless; None if it had none"""
