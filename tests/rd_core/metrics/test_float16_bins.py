import numpy as np

from rd_core.metrics.float16_bins import BINS, VALUES, bins, in_order, nan_count

EVERY = np.arange(BINS, dtype=np.uint16).view(np.float16)
NUMBERS = EVERY[~np.isnan(EVERY)]


def test_bins_rise_exactly_with_the_values():
    ordered = np.sort(NUMBERS)
    steps = np.diff(bins(ordered).astype(int))
    assert (steps[ordered[1:] > ordered[:-1]] > 0).all()
    assert (steps[ordered[1:] == ordered[:-1]] == 0).all()


def test_every_value_is_found_again_in_its_bin():
    np.testing.assert_array_equal(VALUES[bins(NUMBERS)], NUMBERS.astype(np.float64))
    assert np.isnan(VALUES[bins(EVERY[np.isnan(EVERY)])]).all()


def test_minus_zero_is_zero():
    assert bins(np.array([-0.0, 0.0], np.float16)).tolist() == [32768, 32768]


def test_counts_by_bits_come_in_the_order_of_the_values():
    counts = np.arange(1, BINS + 1)
    expected = np.zeros(BINS, dtype=np.int64)
    np.add.at(expected, bins(EVERY), counts)
    np.testing.assert_array_equal(in_order(counts), expected)


def test_nans_of_every_kind_are_counted():
    assert nan_count(EVERY) == np.isnan(EVERY).sum()
    assert nan_count(NUMBERS) == 0
    assert nan_count(np.zeros(0, np.float16)) == 0
