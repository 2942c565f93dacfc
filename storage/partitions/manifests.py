"""Manifests: the fixed list of images that a run scores."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

import pyarrow as pa

from storage import layout
from storage.errors import AlreadyExists, CorruptObject, StorageError
from storage.records import TORCH, ObjectInfo, Partition, Plan
from storage.stores import json_records, parquet
from storage.stores.store import Store

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("modified", pa.timestamp("us", "UTC"), nullable=False),
    ]
)
_PLAN = b"plan"
# Small enough that reading one batch of a large night is quick, large enough that the footer stays small.
_GROUP_ROWS = 4096


def plan_digest(
    images: Iterable[ObjectInfo],
    model_version: str,
    preprocessing: str,
    batch_size: int,
    engine: str = TORCH,
    supersedes: str | None = None,
    redecides: str | None = None,
) -> str:
    """SHA-256 (hex, 16 characters) of the images' keys and etags in order, their processing, the superseded plan and
    the version whose scores are decided anew: an image that changed and changed back gets a new plan."""
    done = [model_version, preprocessing, batch_size, engine, supersedes, *([redecides] if redecides else [])]
    # One JSON text a line: no key can look like the border between two.
    digest = hashlib.sha256(json.dumps(done).encode())
    for image in images:
        digest.update(f"\n{json.dumps([image.key, image.etag])}".encode())
    return digest.hexdigest()[:16]


def batch_digest(plan_digest: str, index: int) -> str:
    """SHA-256 (hex, 16 characters) of the plan's digest and the batch's index."""
    return hashlib.sha256(f"{plan_digest}/{index}".encode()).hexdigest()[:16]


def publish_plan(
    store: Store,
    partition: Partition,
    images: Sequence[ObjectInfo],
    *,
    preprocessing: str,
    batch_size: int,
    run_id: str,
    planned_at: datetime,
    engine: str = TORCH,
    supersedes: str | None = None,
    redecides: tuple[str, str] | None = None,
) -> Plan:
    """Fix the images to score and return the plan in force. `supersedes` as in Plan; `redecides`: the version whose
    scores are decided anew, and the key of their map store.

    Equal images, model, preprocessing, batch size, engine, superseded plan and version decided anew give the same
    plan: an existing one is returned, with its first run id and time. Raises StorageError for no images or a repeated
    one.
    """
    ordered = sorted(images, key=lambda image: image.key)
    for before, image in pairwise(ordered):
        if before.key == image.key:
            raise StorageError(f"image {image.key!r} is planned twice: it would be counted twice. Pass it once.")
    if not ordered or batch_size < 1:
        raise StorageError(
            f"{len(ordered)} images in batches of {batch_size} make no plan. Plan only nights with images, "
            "in batches of 1 or more."
        )
    category, run_date = partition.category, partition.run_date
    of, maps = redecides or (None, None)
    digest = plan_digest(ordered, partition.model_version, preprocessing, batch_size, engine, supersedes, of)
    plan = Plan(
        partition=partition,
        digest=digest,
        manifest=layout.manifest_key(category, run_date, digest),
        map_store=maps or layout.map_store_key(category, run_date, partition.model_version, digest),
        images=len(ordered),
        batch_size=batch_size,
        run_id=run_id,
        planned_at=planned_at,
        engine=engine,
        supersedes=supersedes,
        redecides=of,
    )
    return write_manifest(store, plan, ordered)


def write_manifest(store: Store, plan: Plan, images: Sequence[ObjectInfo]) -> Plan:
    """Create the manifest at `plan.manifest`, or return the plan of an existing one."""
    columns = zip(*((i.key, i.etag, i.size, i.modified) for i in images), strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    schema = SCHEMA.with_metadata({_PLAN: json.dumps(json_records.to_json(plan), sort_keys=True).encode()})
    # Whole batches to a row group, so that a batch's images are read from one.
    group = plan.batch_size * max(1, _GROUP_ROWS // plan.batch_size)
    data = parquet.to_bytes(pa.Table.from_arrays(arrays, schema=schema), row_group_size=group, unique=True)
    try:
        store.create(plan.manifest, data)
    except AlreadyExists:
        return read_plan(store, plan.manifest)
    return plan


def read_plan(store: Store, key: str) -> Plan:
    """The plan of the manifest at `key`. Raises KeyNotFound, CorruptObject."""
    with parquet.opened(store, key) as file:
        return _plan_of(file.schema_arrow, key, store.address(key))


def read_manifest(store: Store, key: str) -> list[ObjectInfo]:
    """Every image of the manifest at `key`, in order."""
    with parquet.opened(store, key) as file:
        return _infos(file.read())


def read_manifest_slice(store: Store, key: str, start: int, stop: int) -> list[ObjectInfo]:
    """Images [start, stop) of the manifest at `key`; reads only their row groups."""
    with parquet.opened(store, key) as file:
        if not 0 <= start <= stop <= file.metadata.num_rows:
            raise StorageError(
                f"images {start} to {stop} are not in {store.address(key)}, which has {file.metadata.num_rows}. "
                "Use the batches of the plan."
            )
        groups: list[int] = []
        first, at = start, 0
        for group in range(file.num_row_groups):
            end = at + file.metadata.row_group(group).num_rows
            if at < stop and start < end:
                first = at if not groups else first
                groups.append(group)
            at = end
        return _infos(file.read_row_groups(groups).slice(start - first, stop - start)) if groups else []


def read_columns(store: Store, key: str, *names: str) -> Iterator[tuple]:
    """These columns of the manifest at `key`, image by image."""
    with parquet.opened(store, key) as file:
        table = file.read(columns=list(names))
    return zip(*(table[name].to_pylist() for name in names), strict=True)


def _infos(table: pa.Table) -> list[ObjectInfo]:
    columns = [table[name].to_pylist() for name in SCHEMA.names]
    return [ObjectInfo(*row) for row in zip(*columns, strict=True)]


def _plan_of(schema: pa.Schema, key: str, address: str) -> Plan:
    try:
        return replace(json_records.from_json(Plan, json.loads((schema.metadata or {})[_PLAN])), manifest=key)
    except (KeyError, ValueError) as e:
        raise CorruptObject(
            f"{address} is not a plan ({e}), so its images cannot be scored. Remove it and plan again."
        ) from e
