"""Comparison of present images with those that were sealed: the same bytes are the same image.

Copied, restored or touched stores have other etags. Where only the etag differs, the bytes decide; the result is
stored, so that they are read once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from storage import layout
from storage.errors import OF_ONE_OBJECT, CorruptObject, InvalidKey, KeyNotFound, ObjectDenied, StorageError
from storage.images import content_digest
from storage.partitions import manifests, scores, seals
from storage.partitions.seals import Seal, SealedPart
from storage.records import ObjectInfo, Partition
from storage.stores import parquet
from storage.stores.store import Store
from storage.stores.swap import swap

SCHEMA = pa.schema(
    [
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("sealed_etag", pa.string(), nullable=False),
        pa.field("content_digest", pa.string()),
    ]
)
"""one row for each image read: object `etag` has the bytes that the model version scored as `sealed_etag`"""
_READERS = 8
"""threads; reading mostly waits for the store"""
_AT_ONCE = 16_384
"""images read before the results are stored: the work an interruption loses"""


@dataclass(frozen=True)
class Comparison:
    """A day's images compared with the sealed ones."""

    same: int
    """number of images equal to their last sealed row"""
    late: tuple[ObjectInfo, ...]
    """images without a sealed row"""
    changed: tuple[ObjectInfo, ...]
    """images that differ from their last sealed row"""
    gone: tuple[str, ...]
    """keys with a sealed row whose image is gone, sorted"""


@dataclass(frozen=True)
class _Sealed:
    """An image as it was scored, without its etag."""

    size: int
    modified: datetime
    digest: str | None
    """SHA-256 of the bytes, from its row"""
    has_row: bool
    """False if its part is damaged"""

    def is_of(self, image: ObjectInfo, digest: str | None) -> bool:
        """Whether the object with this digest is that image; without a row, by its time."""
        return digest == self.digest if self.has_row else image.modified == self.modified

    def is_not(self, image: ObjectInfo, digest: str | None) -> bool:
        """Whether it is another image: bytes that cannot be had (None) say nothing against the row there is."""
        return not self.is_of(image, digest) and (digest is not None or not self.has_row)


@dataclass(frozen=True)
class _Memory:
    """Stored results of earlier comparisons of a category's day."""

    settled: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(key, etag) -> the etag under which the model version sealed it"""
    digests: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    """(key, etag) -> SHA-256 of its bytes, for any version"""


def compare(
    store: Store,
    images: Store,
    seal: Seal | None,
    listed: Sequence[ObjectInfo],
    *,
    tell: Callable[[str], object] = lambda _: None,
) -> Comparison:
    """Compare the `listed` images of a day with the last sealed version of each.

    Equal etags need no reading. An image with another etag and the same size is read, once; `tell` gets the number of
    such images. The results are stored in `store` if it is writable.
    """
    if seal is None:
        return Comparison(0, tuple(listed), (), ())
    known = seals.images_in_force(store, seal)
    late = tuple(image for image in listed if image.key not in known)
    doubtful = [image for image in listed if known.get(image.key, image.etag) != image.etag]
    changed = tuple(_changed(store, images, seal, known, doubtful, tell)) if doubtful else ()
    gone = tuple(sorted(known.keys() - {image.key for image in listed}))
    return Comparison(len(listed) - len(late) - len(changed), late, changed, gone)


def changed_keys(
    store: Store, images: Store, partition: Partition, part: SealedPart, planned: Sequence[ObjectInfo]
) -> list[str]:
    """Keys of the images of a sealed batch that are gone or changed since planning.

    If the part is damaged, stored results decide, or size and time.
    """
    memory, rows = _read_memory(store, partition), _rows(store, [part])

    def is_same(image: ObjectInfo) -> bool:
        now = images.info(image.key)
        if now is None or now.size != image.size:
            return False
        if image.etag in (now.etag, memory.settled.get((now.key, now.etag))):
            return True
        return _sealed(image, rows).is_of(now, _digest(images, now)[0])

    return [image.key for image in planned if not is_same(image)]


def _changed(
    store: Store,
    images: Store,
    seal: Seal,
    known: Mapping[str, str],
    doubtful: Sequence[ObjectInfo],
    tell: Callable[[str], object],
) -> Iterator[ObjectInfo]:
    where, memory = seal.partition, _read_memory(store, seal.partition)
    left = [image for image in doubtful if memory.settled.get((image.key, image.etag)) != known[image.key]]
    sealed = _sealed_versions(store, seal) if left else {}
    yield from (image for image in left if image.size != sealed[image.key].size)
    left = [image for image in left if image.size == sealed[image.key].size]
    if unread := sum((image.key, image.etag) not in memory.digests for image in left):
        tell(
            f"{unread} images of {where.category} {where.run_date} have other times, inodes or etags than when they "
            "were scored, as in a copied store; they are read once, to see whether they are the same."
        )
    waiting = iter(left)
    with ThreadPoolExecutor(_READERS, thread_name_prefix="same") as pool:
        while some := list(islice(waiting, _AT_ONCE)):
            same = []
            digests = pool.map(lambda image: _known_or_read(images, memory, image), some)
            for image, (digest, etag) in zip(some, digests, strict=True):
                before = sealed[image.key]
                if before.is_not(image, digest):
                    yield image
                elif before.is_of(image, digest) and before.has_row and etag == image.etag:
                    same.append((where.model_version, image.key, image.etag, known[image.key], digest))
            _remember(store, where, same, tell)


def _known_or_read(images: Store, memory: _Memory, image: ObjectInfo) -> tuple[str | None, str]:
    of = image.key, image.etag
    return (memory.digests[of], image.etag) if of in memory.digests else _digest(images, image)


def _digest(images: Store, image: ObjectInfo) -> tuple[str | None, str]:
    """(SHA-256 of the bytes, None if they cannot be read, as in the score row; etag of these bytes)."""
    if layout.why_key_is_unsafe(image.key):
        return None, image.etag
    try:
        data, etag = images.read_with_etag(image.key)
    except (KeyNotFound, InvalidKey, ObjectDenied):
        return None, image.etag
    return content_digest(data), etag


def _sealed_versions(store: Store, seal: Seal) -> dict[str, _Sealed]:
    """The last sealed version of every image of the seal, by key."""
    sealed: dict[str, _Sealed] = {}
    for plan in seal.plans:
        rows = _rows(store, plan.parts)
        sealed.update((image.key, _sealed(image, rows)) for image in manifests.read_manifest(store, plan.manifest))
    return sealed


def _sealed(image: ObjectInfo, rows: Mapping[str, str | None]) -> _Sealed:
    return _Sealed(image.size, image.modified, rows.get(image.key), image.key in rows)


def _rows(store: Store, parts: Sequence[SealedPart]) -> dict[str, str | None]:
    """SHA-256 of the bytes behind each row of these parts, by key; damaged parts are skipped."""
    digests: dict[str, str | None] = {}
    for part in parts:
        with suppress(*OF_ONE_OBJECT):
            table = scores.read_columns(store, part.key, ["image_key", "content_digest"])
            digests.update(zip(table["image_key"].to_pylist(), table["content_digest"].to_pylist(), strict=True))
    return digests


def _read_memory(store: Store, partition: Partition) -> _Memory:
    key = layout.settled_key(partition.category, partition.run_date)
    try:
        table = _of_bytes(store.read(key), store.address(key))
    except OF_ONE_OBJECT:  # then the bytes are read again
        return _Memory()
    version, keys, etags, sealed, digests = (table[name].to_pylist() for name in SCHEMA.names)
    objects = list(zip(keys, etags, strict=True))
    own = (name == partition.model_version for name in version)
    settled = {of: etag for of, etag, mine in zip(objects, sealed, own, strict=True) if mine}
    return _Memory(settled, dict(zip(objects, digests, strict=True)))


def _of_bytes(data: bytes, address: str) -> pa.Table:
    table = parquet.from_bytes(data, address)
    if not table.schema.equals(SCHEMA):
        raise CorruptObject(f"{address} has other columns, so what it remembers is found anew.")
    return table


def _remember(store: Store, partition: Partition, rows: Sequence[tuple], tell: Callable[[str], object]) -> None:
    """For an image and a model version the newest row replaces older ones."""
    if store.read_only or not rows:
        return
    columns = zip(*rows, strict=True)
    new = pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
    key = layout.settled_key(partition.category, partition.run_date)

    def change(data: bytes | None) -> bytes | None:
        before = SCHEMA.empty_table()
        if data is not None:
            with suppress(CorruptObject):
                before = _of_bytes(data, store.address(key))
        replaced = pc.and_(
            pc.equal(before["model_version"], partition.model_version), pc.is_in(before["key"], new["key"])
        )
        return parquet.to_bytes(pa.concat_tables([before.filter(pc.invert(replaced)), new]), unique=True)

    try:
        swap(store, key, change, unfinished="to remember which images are the same; they will be read again.")
    except StorageError as e:  # on a store that only some may write, say: what was found holds all the same
        tell(f"Which images are the same is not remembered, so they will be read again: {e}")
