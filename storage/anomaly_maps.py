"""Anomaly maps in zarr: float16 [images, H, W], one image a chunk, one batch a shard."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import zarr
from zarr.abc.store import ByteRequest
from zarr.codecs import BloscCodec
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.errors import ArrayNotFoundError, ContainsArrayError
from zarr.storage import WrapperStore

from storage.errors import CorruptObject, KeyNotFound, StorageError
from storage.faults import translated
from storage.store import Store

LARGEST = float(np.finfo(np.float16).max)
"""what float16 can hold, 65504; a sum of cosine distances is at most 6"""
_INFINITY = 0x7C00
"""float16's, without its sign, as an integer"""
_CHUNKS_AT_ONCE = 16
"""that zarr hands to its compressor in one go; a call for each, as by default, takes longer than the compressing"""


def create_maps(
    store: Store,
    key: str,
    *,
    images: int,
    height: int,
    width: int,
    batch_size: int,
    attributes: dict[str, Any] | None = None,
) -> None:
    """Make the array all batches write into; every map is NaN until it is written.

    Making the same again does nothing. StorageError if one of another shape or batch size is there.
    `attributes` (JSON values) stay those of the first.
    """
    try:
        with translated(f"cannot create the maps {store.address(key)}"):
            zarr.create_array(
                store.zarr_store(key),
                shape=(images, height, width),
                dtype="float16",
                chunks=(1, height, width),
                shards=(batch_size, height, width),
                # NaN is no map's value: what no batch has written reads as such.
                fill_value=np.nan,
                # Level 1: a third of the time of level 5, 3 % larger.
                compressors=BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"),
                zarr_format=3,
                attributes=attributes,
            )
    except ContainsArrayError as e:
        found = _opened(store, key, read_only=True)
        wanted = ((images, height, width), (batch_size, height, width))
        if (found.shape, found.shards) != wanted:
            raise StorageError(
                f"{store.address(key)} holds maps of shape {found.shape} in shards of {found.shards}, not "
                f"{wanted[0]} in {wanted[1]}: batches would land in each other's rows. "
                "Plan again, so that the maps get a store of their own."
            ) from e


def write_batch_maps(store: Store, key: str, index: int, maps: np.ndarray) -> None:
    """Write a batch's maps, float32 or float16 (B, H, W), as shard `index`.

    B is the batch size, or what is left for the last shard. Rows of images without a map are NaN.
    StorageError if the maps are not the whole shard, or hold values float16 cannot.
    """
    array = _opened(store, key, read_only=False)
    _refuse_partial_shard(array, store.address(key), index, maps)
    halves = _as_float16(maps, store.address(key))
    start = index * _batch_size(array)
    with (
        translated(f"cannot write maps {start} to {start + len(halves)} of {store.address(key)}"),
        zarr.config.set({"codec_pipeline.batch_size": _CHUNKS_AT_ONCE}),
    ):
        # Looking which maps are NaN all over, to leave them out, would take a third of the whole time.
        array.with_config({"write_empty_chunks": True})[start : start + len(halves)] = halves


def read_map(store: Store, key: str, i: int) -> np.ndarray:
    """The map of image `i`, float32 (H, W); NaN all over if none was written."""
    return cast(np.ndarray, read_maps(store, key, [i])[0])


def read_maps(store: Store, key: str, indices: Sequence[int]) -> np.ndarray:
    """The maps of images `indices`, float32 (len(indices), H, W), in that order. KeyNotFound beyond the last."""
    array = _opened(store, key, read_only=True)
    for i in indices:
        if not 0 <= i < array.shape[0]:
            raise KeyNotFound(
                f"map {i} of {store.address(key)} is not there: it holds 0 to {array.shape[0] - 1}. "
                "Take the index from the score row."
            )
    with _whole(store, key), translated(f"cannot read maps of {store.address(key)}"):
        found = array.oindex[np.asarray(indices, dtype=np.int64)]
    return np.asarray(found, dtype=np.float32)


class _WholeShards(WrapperStore[Any]):
    """Says that no shard is there yet, so that a whole one is written without reading the old one first.

    zarr reads the shard before every write, even if all of it is written: a needless request, and one that
    fails if a killed writer left half a shard.
    """

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        return None if key.startswith("c/") else await super().get(key, prototype, byte_range)


def _opened(store: Store, key: str, *, read_only: bool) -> zarr.Array[Any]:
    zarr_store = store.zarr_store(key, read_only=read_only)
    if not read_only:
        zarr_store = _WholeShards(zarr_store)
    with _whole(store, key), translated(f"cannot open the maps {store.address(key)}"):
        try:
            return zarr.open_array(zarr_store, mode="r" if read_only else "r+", zarr_format=3)
        except (FileNotFoundError, ArrayNotFoundError) as e:
            raise KeyNotFound(f"{store.address(key)}: there are no maps. Create them with create_maps().") from e


@contextmanager
def _whole(store: Store, key: str) -> Iterator[None]:
    """What zarr raises for bytes that are no array, as CorruptObject."""
    try:
        yield
    except (ValueError, TypeError, KeyError, RuntimeError) as e:
        raise CorruptObject(
            f"{store.address(key)} does not read as maps: {e}. Score the partition's images again."
        ) from e


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


def _as_float16(maps: np.ndarray, address: str) -> np.ndarray:
    # Halves are asked for their bits, in a quarter of the time that NumPy takes to compare them.
    is_half = maps.dtype == np.float16
    beyond = (maps.view(np.uint16) & 0x7FFF) == _INFINITY if is_half else np.abs(maps) > LARGEST
    if beyond.any():
        raise StorageError(
            f"a map for {address} holds {maps[beyond].flat[0]}, and float16 ends at {LARGEST:.0f}: it would be "
            "stored as infinity. Check the model's weights and the image's preprocessing."
        )
    return maps.astype(np.float16, copy=False)


def _batch_size(array: zarr.Array[Any]) -> int:
    return int((array.shards or array.chunks)[0])
