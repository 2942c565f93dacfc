"""Maps: whole shards, no reading before writing, nothing beyond float16."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from storage.errors import CorruptObject, KeyNotFound, StorageError
from storage.filesystem import LocalStore, Store, open_store
from storage.partitions.anomaly_maps import MapArray, create_maps, read_map, read_maps, write_batch_maps
from tests.object_stores import Bucket

KEY = "maps/cloth/2026-03-02/v1/abc.zarr"
MAPS = (np.random.default_rng(0).random((10, 6, 8)) * 6).astype(np.float16)


def make(store: Store, images: int = 10, batch_size: int = 4) -> None:
    create_maps(store, KEY, MapArray(images, 6, 8, batch_size, {"model_version": "v1"}))


@pytest.mark.parametrize("kind", ["local", "moto_s3"])
def test_maps_are_read_as_written(kind: str, request: pytest.FixtureRequest) -> None:
    place = request.getfixturevalue(kind)
    store = open_store(place.uri) if isinstance(place, Bucket) else place
    make(store)
    for index in (2, 0, 1):
        write_batch_maps(store, KEY, index, MAPS[index * 4 : index * 4 + 4])
    np.testing.assert_array_equal(read_maps(store, KEY, range(10)), MAPS)
    assert read_map(store, KEY, 9).dtype == np.float16
    np.testing.assert_array_equal(read_maps(store, KEY, [7, 2, 7])[[0, 2]], read_maps(store, KEY, [7, 7]))
    np.testing.assert_array_equal(read_map(store, KEY, 7), read_maps(store, KEY, [7, 2])[0])
    # One object a batch, and the array's own description.
    assert len(list(store.list("maps/"))) == 4


def test_the_array_is_what_the_design_says(local: LocalStore) -> None:
    make(local)
    write_batch_maps(local, KEY, 0, MAPS[:4])
    array = zarr.open_array(local.zarr_store(KEY), mode="r")
    assert (array.shape, array.chunks, array.shards) == ((10, 6, 8), (1, 6, 8), (4, 6, 8))
    assert array.dtype == np.float16
    assert array.attrs["model_version"] == "v1"
    assert np.isnan(array.fill_value)
    assert "bitshuffle" in str(array.compressors)


def test_no_write_reads_the_shard_first(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    opened = LocalStore.open
    make(local)
    monkeypatch.setattr(LocalStore, "open", lambda self, key: asked.append(key) or opened(self, key))
    monkeypatch.setattr(LocalStore, "zarr_store", None)
    for index in (0, 0, 2, 2):  # the last one is short
        write_batch_maps(local, KEY, index, MAPS[index * 4 : index * 4 + 4])
    assert set(asked) == {f"{KEY}/zarr.json"}


def test_half_a_shard_of_a_killed_writer_is_overwritten(local: LocalStore) -> None:
    make(local)
    write_batch_maps(local, KEY, 2, MAPS[8:])
    shard = Path(local.duckdb_uri(f"{KEY}/c/2/0/0"))
    shard.write_bytes(shard.read_bytes()[:50])
    with pytest.raises(CorruptObject, match=KEY):
        read_map(local, KEY, 8)
    write_batch_maps(local, KEY, 2, MAPS[8:])
    np.testing.assert_array_equal(read_map(local, KEY, 8), MAPS[8])


def test_the_same_maps_give_the_same_bytes(local: LocalStore) -> None:
    make(local)
    write_batch_maps(local, KEY, 0, MAPS[:4])
    before = local.read(f"{KEY}/c/0/0/0")
    write_batch_maps(local, KEY, 0, MAPS[:4])
    assert local.read(f"{KEY}/c/0/0/0") == before


def test_an_image_without_a_map_is_nan(local: LocalStore) -> None:
    make(local)
    maps = MAPS[:4].copy()
    maps[1] = np.nan
    write_batch_maps(local, KEY, 0, maps)
    assert np.isnan(read_map(local, KEY, 1)).all()
    assert np.isfinite(read_maps(local, KEY, [0, 2, 3])).all()
    assert np.isnan(read_map(local, KEY, 9)).all()
    # A batch of nothing but unreadable images takes the place of an older one, too.
    write_batch_maps(local, KEY, 0, np.full_like(maps, np.nan))
    assert np.isnan(read_maps(local, KEY, range(4))).all()


def test_a_map_that_is_nan_in_its_corner_alone_is_kept(local: LocalStore) -> None:
    make(local)
    maps = MAPS[:4].copy()
    maps[2, 0, 0] = np.nan
    write_batch_maps(local, KEY, 0, maps)
    np.testing.assert_array_equal(read_maps(local, KEY, range(4)), maps)


def test_making_the_same_again_keeps_what_is_there(local: LocalStore) -> None:
    make(local)
    write_batch_maps(local, KEY, 0, MAPS[:4])
    make(local)
    assert np.isfinite(read_map(local, KEY, 0)).all()
    for images, batch_size in ((11, 4), (10, 5)):
        with pytest.raises(StorageError, match="Plan again"):
            make(local, images, batch_size)


@pytest.mark.parametrize(
    ("index", "shape"),
    [(0, (3, 6, 8)), (0, (5, 6, 8)), (2, (4, 6, 8)), (0, (4, 8, 6)), (3, (2, 6, 8)), (-1, (4, 6, 8))],
)
def test_only_whole_shards_are_written(local: LocalStore, index: int, shape: tuple[int, ...]) -> None:
    make(local)
    with pytest.raises(StorageError, match=r"whole shard|does not exist"):
        write_batch_maps(local, KEY, index, np.zeros(shape, np.float16))
    assert len(list(local.list("maps/"))) == 1


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_and_other_types_are_refused(local: LocalStore, value: float) -> None:
    make(local)
    maps = MAPS[:4].copy()
    maps[0] = np.nan  # an image without a map
    maps[1, 0, :2] = -65504, 65504
    write_batch_maps(local, KEY, 0, maps)
    assert read_map(local, KEY, 1)[0, :2].tolist() == [-65504, 65504]
    with pytest.raises(StorageError, match="float32, and float16 is stored"):
        write_batch_maps(local, KEY, 0, maps.astype(np.float32))
    maps[3, 5, 7] = value
    with pytest.raises(StorageError, match=r"holds -?inf, which is no distance"):
        write_batch_maps(local, KEY, 0, maps)


def test_maps_that_are_not_there(local: LocalStore) -> None:
    for call in (lambda: read_map(local, KEY, 0), lambda: write_batch_maps(local, KEY, 0, MAPS[:4])):
        with pytest.raises(KeyNotFound, match="no maps"):
            call()
    make(local)
    for i in (10, -1):
        with pytest.raises(KeyNotFound, match="0 to 9"):
            read_map(local, KEY, i)
