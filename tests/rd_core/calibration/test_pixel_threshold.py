"""The pixel threshold keeps its share, exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.calibration.pixel_threshold import PIXEL_ALPHA, PixelCounts, PixelThreshold
from rd_core.errors import ConfigError, TooFewNormals


def calibrate_pixels(maps: np.ndarray, alpha: float = PIXEL_ALPHA) -> PixelThreshold:
    counts = PixelCounts()
    counts.add(maps)
    return counts.threshold(alpha)


@given(st.integers(0, 10_000), st.sampled_from([0.001, 0.01, 0.1, 0.5]))
def test_at_most_that_share_of_pixels_is_above_and_no_smaller_value_would_do(seed: int, alpha: float) -> None:
    maps = np.random.default_rng(seed).gamma(2.0, size=(4, 9, 7)).round(1).astype(np.float16)
    threshold = calibrate_pixels(maps, alpha)
    assert (maps > threshold.value).mean() <= alpha
    smaller = maps[maps < threshold.value]
    assert smaller.size == 0 or (maps > smaller.max()).mean() > alpha
    assert threshold.images == 4


def test_ignored_pixels_set_no_threshold_and_are_taken_back_as_they_were_added() -> None:
    maps = np.random.default_rng(0).random((3, 8, 5)).astype(np.float16)
    counted = np.random.default_rng(1).random(maps.shape) > 0.4
    found, alone = PixelCounts(), PixelCounts()
    found.add(maps, counted)
    found.add(maps[:1], counted[1:2])
    found.remove(maps[:1], counted[1:2])
    alone.add(maps[counted][None, None])
    assert found.threshold(0.1).value == alone.threshold(0.1).value != calibrate_pixels(maps, 0.1).value


def test_negative_values_have_their_order() -> None:
    maps = np.array([[[-2.0, -1.0, 0.0, 1.0]]], dtype=np.float16)
    assert calibrate_pixels(maps, 0.5).value == -1.0


def test_maps_count_in_any_order_and_can_be_taken_back() -> None:
    maps = np.random.default_rng(1).gamma(2.0, size=(5, 9, 7)).astype(np.float16)
    counts = PixelCounts()
    for some in (maps[3:], maps[:1], maps[1:3]):
        counts.add(some)
    assert counts.threshold(0.1) == calibrate_pixels(maps, 0.1)
    counts.remove(maps[[2, 4]])
    assert counts.threshold(0.1) == calibrate_pixels(maps[[0, 1, 3]], 0.1) != calibrate_pixels(maps, 0.1)


def test_ignored_pixels_are_not_among_them() -> None:
    random = np.random.default_rng(1)
    maps, counted = random.gamma(2.0, size=(5, 9, 7)).astype(np.float16), random.random((5, 9, 7)) < 0.4
    counts = PixelCounts()
    counts.add(np.where(counted, maps, 0).astype(np.float16), counted)
    assert counts.threshold(0.1).value == calibrate_pixels(maps[counted][None, None], 0.1).value
    counts.remove(maps[2:], counted[2:])
    assert counts.threshold(0.1).value == calibrate_pixels(maps[:2][counted[:2]][None, None], 0.1).value


def test_new_images_keep_it_on_average() -> None:
    random = np.random.default_rng(0)
    shares = []
    for _ in range(50):
        threshold = calibrate_pixels(random.normal(size=(20, 16, 16)).astype(np.float16), 0.01)
        shares.append((random.normal(size=(20, 16, 16)) > threshold.value).mean())
    assert np.mean(shares) == pytest.approx(0.01, rel=0.1)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(TooFewNormals, match="Hold out"):
        PixelCounts().threshold()
    with pytest.raises(ConfigError, match="share of pixels"):
        calibrate_pixels(np.zeros((1, 2, 2), np.float16), 1.0)
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="not finite"):
            calibrate_pixels(np.array([[[0.0, bad]]], np.float16))
