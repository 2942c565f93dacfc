import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.metrics.float16_bins import VALUES
from rd_core.metrics.pixel_tables import PixelTables
from tests.examples import examples
from tests.rd_core.metrics.random_maps import random_sample


def same(one, other):
    mine, theirs = one.to_arrays(), other.to_arrays()
    return all(np.array_equal(mine[name], theirs[name]) for name in mine)


@given(st.integers(0, 2**32))
@examples(20)
def test_the_tables_count_every_pixel_that_may_be_counted(seed):
    sample = random_sample(seed)
    values, defects = sample.pixels()
    ranking = PixelTables.of(*sample).ranking()
    expected, place = np.unique(values, return_inverse=True)
    np.testing.assert_array_equal(ranking.values, expected)
    np.testing.assert_array_equal(ranking.normal, np.bincount(place[~defects], minlength=len(expected)))
    np.testing.assert_array_equal(ranking.anomalous, np.bincount(place[defects], minlength=len(expected)))


@given(st.integers(0, 2**32))
@examples(10)
def test_uncounted_pixels_are_as_if_they_were_not_there(seed):
    """Whatever their values, and as the tables of maps of the counted columns alone."""
    sample = random_sample(seed, unmasked=2, unscored=1)
    random = np.random.default_rng(seed)
    counted = np.zeros(sample.maps[0].shape, bool)
    counted[:, : random.integers(1, counted.shape[1])] = True
    masks = [None if mask is None else mask & counted for mask in sample.masks]
    kept = [i for i, mask in enumerate(masks) if mask is None or mask.any() or not sample.labels[i]]
    maps = [np.where(counted, sample.maps[i], random.random(counted.shape).astype(np.float16)) for i in kept]
    maps = [sample.maps[i] if np.isnan(sample.maps[i]).all() else one for i, one in zip(kept, maps, strict=True)]
    labels = [bool(sample.labels[i]) for i in kept]
    some = np.flatnonzero(counted[0])
    found = PixelTables.of(maps, [masks[i] for i in kept], labels, [counted] * len(kept))
    alone = PixelTables.of(
        [one[:, some] for one in maps], [None if masks[i] is None else masks[i][:, some] for i in kept], labels
    )
    ours, theirs = found.to_arrays(), alone.to_arrays()
    np.testing.assert_array_equal(ours["tables"], theirs["tables"])
    np.testing.assert_array_equal(ours["counts"][:-2], theirs["counts"][:-2], "all but the maps' size")
    with pytest.raises(ValueError, match="ignored ones would count"):
        PixelTables.of(maps, [masks[i] for i in kept], labels, [counted[1:]] * len(kept))


def test_normal_images_are_kept_apart_from_what_surrounds_defects():
    sample = random_sample(1)
    tables = PixelTables.of(*sample)
    normals = PixelTables.of(*sample[~sample.labels])
    np.testing.assert_array_equal(tables.normal, normals.normal)
    assert not normals.around_defects.any()
    assert tables.around_defects.sum() == sum((~m).sum() for m in sample.masks if m is not None)


def test_images_are_counted_by_what_is_known_of_them():
    tables = PixelTables.of(*random_sample(2, images=9, normals=3, unmasked=2, unscored=1))
    assert (tables.normal_images, tables.anomalous_images) == (2, 4)
    assert (tables.unmasked_images, tables.unscored_images) == (2, 1)
    assert (tables.height, tables.width) == (12, 15)


def test_an_anomalous_image_without_a_mask_changes_no_table():
    sample = random_sample(3, unmasked=2, unscored=0)
    known = np.array([m is not None or not label for m, label in zip(sample.masks, sample.labels, strict=True)])
    all_of_them, without = PixelTables.of(*sample), PixelTables.of(*sample[known])
    for name in ("normal", "around_defects", "anomalous", "region_weights"):
        np.testing.assert_array_equal(getattr(all_of_them, name), getattr(without, name))


@given(st.integers(0, 2**32), st.permutations(range(5)))
@examples(8)
def test_any_order_of_merging_gives_the_same_bits(seed, order):
    sample = random_sample(seed, images=10)
    pieces = [PixelTables.of(*sample[i * 2 : i * 2 + 2]) for i in order]
    left = sum(pieces, PixelTables.empty())
    right = pieces[0] + (pieces[1] + (pieces[2] + (pieces[3] + pieces[4])))
    whole = PixelTables.of(*sample)
    assert same(left, whole)
    assert same(right, whole)


def test_they_cross_a_border_as_plain_arrays():
    tables = PixelTables.of(*random_sample(4))
    arrays = tables.to_arrays()
    assert {a.dtype.kind for a in arrays.values()} <= {"i", "u"}
    assert same(PixelTables.from_arrays(pickle.loads(pickle.dumps(arrays))), tables)
    assert same(PixelTables.from_arrays(PixelTables.empty().to_arrays()), PixelTables.empty())
    with pytest.raises(ValueError, match="no pixel tables"):
        PixelTables.from_arrays({"bins": np.zeros(3, np.uint16)})


def test_generators_are_taken_image_by_image():
    sample = random_sample(5)
    lazy = PixelTables.of((m for m in sample.maps), iter(sample.masks), (bool(x) for x in sample.labels))
    assert same(lazy, PixelTables.of(*sample))


def test_extreme_values_have_their_own_bins():
    values = np.array([[-np.inf, -65504, -6e-8, -0.0, 0.0, 6e-8, 65504, np.inf]], np.float16)
    tables = PixelTables.of([values], [None], [False])
    occupied = np.flatnonzero(tables.normal)
    assert VALUES[occupied].tolist() == [-np.inf, -65504, *np.float16([-6e-8, 0, 6e-8]).tolist(), 65504, np.inf]
    assert tables.normal[occupied].tolist() == [1, 1, 1, 2, 1, 1, 1]


def test_maps_that_are_not_contiguous_are_counted_alike():
    sample = random_sample(6, unscored=0)
    flipped = [None if m is None else m[:, ::-1] for m in sample.masks]
    assert same(PixelTables.of(sample.maps[:, :, ::-1], flipped, sample.labels), PixelTables.of(*sample))


def test_tables_cannot_be_changed():
    tables = PixelTables.of(*random_sample(7))
    with pytest.raises(ValueError, match="read-only"):
        tables.normal[0] = 1


def test_maps_of_two_sizes_do_not_add_up():
    one, other = (PixelTables.of(*random_sample(8, shape=shape)) for shape in ((4, 5), (5, 4)))
    with pytest.raises(ValueError, match="4x5 and of 5x4"):
        one + other
    with pytest.raises(ValueError, match="4x5 and of 5x4"):
        PixelTables.of([np.ones((4, 5), np.float16), np.ones((5, 4), np.float16)], [None] * 2, [False] * 2)


def test_too_many_regions_are_refused_before_they_overflow():
    arrays = PixelTables.of(*random_sample(9)).to_arrays()
    arrays["counts"][0] = 2**22
    half = PixelTables.from_arrays(arrays)
    with pytest.raises(OverflowError, match="8388608 regions"):
        half + half


def test_tables_of_another_kind_are_refused():
    fields = {f: getattr(PixelTables.empty(), f) for f in PixelTables.__dataclass_fields__}
    for wrong in (np.zeros(7, np.int64), np.zeros(65536)):
        with pytest.raises(ValueError, match="the table normal"):
            PixelTables(**{**fields, "normal": wrong})


def test_chunks_of_any_size_make_one_whole():
    sample = random_sample(10, images=12)
    whole = PixelTables.of(*sample)
    for step in (1, 5):
        chunks = (PixelTables.of(*sample[i : i + step]) for i in range(0, 12, step))
        assert same(list(itertools.accumulate(chunks))[-1], whole)
