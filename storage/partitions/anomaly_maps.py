"""Anomaly maps in zarr: float16 [images, H, W], one image a chunk, one batch a shard.

Every map and shard index has a CRC-32C, so readers notice a flipped bit. A shard is encoded in memory and written in
one step; its batch's part keeps its digest.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.errors import ArrayNotFoundError
from zarr.storage import MemoryStore

from storage import layout
from storage.errors import AlreadyExists, CorruptObject, KeyNotFound, StorageError
from storage.models.card import Maps
from storage.records import Plan, Shard
from storage.stores.faults import translated
from storage.stores.store import Store

_DESCRIPTION = "zarr.json"
_UNREADABLE = (ValueError, TypeError, KeyError, RuntimeError, AttributeError, IndexError)
"""errors of zarr and its codecs for bytes that are no array"""
_INFINITY = 0x7C00
"""float16's infinity without sign, as an integer"""
_BYTES_AT_ONCE = 2**26
"""of maps read together"""
_CHUNKS_AT_ONCE = 16
"""chunks passed to the compressor at once; one call for each chunk, the default, costs more than compressing"""


@dataclass(frozen=True)
class MapArray:
    """The description of a map array."""

    images: int
    height: int
    width: int
    batch_size: int
    """images a shard"""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """JSON, for people"""

    @classmethod
    def of(cls, plan: Plan, maps: Maps, threshold: float) -> "MapArray":
        """The array of a plan; `maps` and their threshold are the model card's."""
        attributes = {
            "category": plan.partition.category,
            "run_date": plan.partition.run_date.isoformat(),
            "model_version": plan.partition.model_version,
            "manifest": plan.manifest,
            "threshold": threshold,
            "engine": plan.engine,
            "values": f"{maps.values}; NaN where an image was not scored",
        }
        return cls(plan.images, maps.height, maps.width, plan.batch_size, attributes)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.images, self.height, self.width

    @property
    def shards(self) -> tuple[int, int, int]:
        return self.batch_size, self.height, self.width

    def describe(self) -> bytes:
        """The bytes of its zarr.json."""
        objects: dict[str, Buffer] = {}
        zarr.create_array(
            MemoryStore(objects),
            shape=self.shape,
            dtype="float16",
            chunks=(1, self.height, self.width),
            shards=self.shards,
            # NaN is no map's value: what no batch has written reads as such.
            fill_value=np.nan,
            # Level 1: a third of the time of level 5, 3 % larger.
            compressors=[BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"), Crc32cCodec()],
            zarr_format=3,
            attributes=dict(self.attributes),
        )
        return objects[_DESCRIPTION].to_bytes()


def create_maps(store: Store, key: str, array: MapArray) -> None:
    """Create the array that all batches write into; unwritten maps are NaN.

    Repeating it changes nothing; the first attributes stay. Raises StorageError if an array of another shape or batch
    size exists.
    """
    wanted = array.describe()
    try:
        store.create(description_key(key), wanted)
    except AlreadyExists:
        _refuse_other_grid(store, key, wanted, array)


def description_key(key: str) -> str:
    """Key of the description of the maps under `key`."""
    return f"{key}/{_DESCRIPTION}"


def shard_key(key: str, index: int) -> str:
    """Key of the maps of batch `index`."""
    return f"{key}/{_shard_name(index)}"


def why_description_is_wrong(data: bytes, wanted: bytes) -> str | None:
    """Why a description differs from `wanted`, or None."""
    shall = json.loads(wanted)
    try:
        has = dict(json.loads(data))
    except (ValueError, TypeError, RecursionError) as e:
        return f"the array's description, zarr.json, does not read ({e!r})"
    odd = sorted(name for name in shall.keys() | has.keys() if shall.get(name) != has.get(name))
    if not odd:
        return None
    name = odd[0]
    return f"the array's {name} is {has.get(name)}, and the plan and the model make it {shall.get(name)}"


def write_batch_maps(store: Store, key: str, index: int, maps: NDArray[np.float16]) -> Shard:
    """Write a batch's maps, float16 (B, H, W), as shard `index` in one atomic step.

    B: the batch size, or the rest in the last shard. Images without a map are NaN. Raises StorageError for an
    incomplete shard, another dtype or infinite values.
    """
    address = store.address(key)
    objects = _buffers({_DESCRIPTION: _description(store, key)})
    with _readable(store, key):
        array = zarr.open_array(MemoryStore(objects), mode="r+", zarr_format=3)
    _refuse_partial_shard(array, address, index, maps)
    _refuse_infinite(maps, address)
    start = index * _batch_size(array)
    with zarr.config.set({"codec_pipeline.batch_size": _CHUNKS_AT_ONCE}):
        # Looking which maps are NaN all over, to leave them out, would take a third of the whole time.
        array.with_config({"write_empty_chunks": True})[start : start + len(maps)] = maps
    data = objects[_shard_name(index)].to_bytes()
    store.write(shard_key(key, index), data)
    return shard_of(data)


def shard_of(data: bytes) -> Shard:
    """Digest and size of a shard's bytes."""
    return Shard(hashlib.sha256(data).hexdigest(), len(data))


def maps_in_shard(store: Store, key: str, index: int, data: bytes, description: bytes) -> NDArray[np.float16]:
    """The maps, float16 (B, H, W), in the bytes of shard `index` of an array of that description. Raises
    CorruptObject."""
    objects = _buffers({_DESCRIPTION: description, _shard_name(index): data})
    with _readable(store, key):
        array = zarr.open_array(MemoryStore(objects), mode="r", zarr_format=3)
        start = index * _batch_size(array)
        return np.asarray(array[start : start + _batch_size(array)])


def read_map(store: Store, key: str, i: int) -> NDArray[np.float16]:
    """The map of image `i`, (H, W); all NaN if it was not written."""
    return cast(NDArray[np.float16], read_maps(store, key, [i])[0])


def read_maps(store: Store, key: str, indices: Sequence[int]) -> NDArray[np.float16]:
    """The maps of images `indices`, (len(indices), H, W), in that order. Raises KeyNotFound beyond the last."""
    return _read(store, key, _opened(store, key), indices)


def each_map(store: Store, key: str, indices: Sequence[int]) -> Iterator[NDArray[np.float16]]:
    """The same, (H, W) each, with as few in memory as fit."""
    array = _opened(store, key)
    at_once = max(1, _BYTES_AT_ONCE // (2 * math.prod(array.shape[1:])))
    for start in range(0, len(indices), at_once):
        yield from _read(store, key, array, indices[start : start + at_once])


def _read(store: Store, key: str, array: zarr.Array[Any], indices: Sequence[int]) -> NDArray[np.float16]:
    for i in indices:
        if not 0 <= i < array.shape[0]:
            raise KeyNotFound(
                f"map {i} of {store.address(key)} is not there: it holds 0 to {array.shape[0] - 1}. "
                "Take the index from the score row."
            )
    with _readable(store, key), translated(f"cannot read maps of {store.address(key)}"):
        maps = array.oindex[np.asarray(indices, dtype=np.int64)]
    return np.asarray(maps)


def _opened(store: Store, key: str) -> zarr.Array[Any]:
    with _readable(store, key), translated(f"cannot open the maps {store.address(key)}"):
        try:
            return zarr.open_array(store.zarr_store(key, read_only=True), mode="r", zarr_format=3)
        except (FileNotFoundError, ArrayNotFoundError) as e:
            raise _missing(store, key) from e


def _description(store: Store, key: str) -> bytes:
    try:
        return store.read(description_key(key))
    except KeyNotFound as e:
        raise _missing(store, key) from e


def _missing(store: Store, key: str) -> KeyNotFound:
    return KeyNotFound(
        f"{store.address(key)}: there are no maps, for their description, {_DESCRIPTION}, is not there. If they are "
        f"of sealed scores, this makes it again: {_mend(key)}"
    )


def _buffers(objects: Mapping[str, bytes]) -> dict[str, Buffer]:
    """The contents of a MemoryStore."""
    kind = default_buffer_prototype().buffer
    return {name: kind.from_bytes(data) for name, data in objects.items()}


def _shard_name(index: int) -> str:
    return f"c/{index}/0/0"


def _mend(key: str) -> str:
    """The command that recreates the maps under `key`."""
    partition = layout.map_partition(description_key(key))
    if partition is None:
        return "rd-inspect backfill --mend"
    category, day, _ = partition
    version = key.split("/")[3]
    return f"rd-inspect backfill --from {day} --to {day} --category {category} --model {version} --mend"


@contextmanager
def _readable(store: Store, key: str) -> Iterator[None]:
    """Turns zarr's errors for damaged bytes into CorruptObject."""
    try:
        yield
    except _UNREADABLE as e:
        raise CorruptObject(
            f"{store.address(key)} does not read as maps: {e}. These images have no heatmap and no pixel figure, "
            f"their scores stay. Make the maps again: {_mend(key)}"
        ) from e


def _refuse_other_grid(store: Store, key: str, wanted: bytes, array: MapArray) -> None:
    """Raises StorageError if the existing array has another shape or shards; rewrites an unreadable description."""
    try:
        existing = _opened(store, key)
    except CorruptObject:
        store.write(description_key(key), wanted)
        return
    if (existing.shape, existing.shards) != (array.shape, array.shards):
        raise StorageError(
            f"{store.address(key)} holds maps of shape {existing.shape} in shards of {existing.shards}, not "
            f"{array.shape} in {array.shards}: batches would land in each other's rows. Plan again, so that the maps "
            "get a store of their own."
        )


def _refuse_partial_shard(array: zarr.Array[Any], address: str, index: int, maps: np.ndarray) -> None:
    images, height, width = array.shape
    batch_size = _batch_size(array)
    wanted = (min(batch_size, images - index * batch_size), height, width)
    if index < 0 or wanted[0] <= 0:
        raise StorageError(
            f"shard {index} of {address} does not exist: {images} images in shards of {batch_size} end at "
            f"shard {-(-images // batch_size) - 1}. Use the batches of the plan."
        )
    if maps.shape != wanted:
        raise StorageError(
            f"maps of shape {maps.shape} are not the whole shard {index} of {address}, {wanted}: the rest would "
            "be lost, and parallel writes would race. Write a batch's maps in one call."
        )


def _refuse_infinite(maps: NDArray[np.float16], address: str) -> None:
    if maps.dtype != np.float16:
        raise StorageError(f"maps for {address} are of {maps.dtype}, and float16 is stored. Round them first.")
    # Asked for their bits, in a quarter of the time that NumPy takes to compare halves.
    infinite = (maps.view(np.uint16) & 0x7FFF) == _INFINITY
    if infinite.any():
        raise StorageError(
            f"a map for {address} holds {maps[infinite].flat[0]}, which is no distance: nothing was written. Check "
            "the model's weights and the image's preprocessing."
        )


def _batch_size(array: zarr.Array[Any]) -> int:
    return int((array.shards or array.chunks)[0])
