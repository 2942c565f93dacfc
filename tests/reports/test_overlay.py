import base64
import io

import numpy as np
import pytest
from PIL import Image

from reports.overlay import colours, data_uri, overlay, shrunk

GREY = np.full((40, 60, 3), 128, np.uint8)


def flat(value: float, shape: tuple[int, int] = (10, 10)) -> np.ndarray:
    return np.full(shape, value, np.float32)


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,")))))


def change(value: float, threshold: float = 0.5) -> float:
    return float(np.abs(overlay(GREY, flat(value), threshold, contour=False).astype(int) - GREY).max())


def test_below_the_threshold_nearly_nothing_shows():
    assert change(0.3) == 0
    assert 0 < change(0.49) < 12


def test_strength_grows_to_full_at_twice_the_threshold():
    assert change(0.49) < change(0.55) < change(0.75) < change(1.0) == change(5.0)
    full = overlay(GREY, flat(1.0), 0.5, contour=False)[0, 0]
    np.testing.assert_allclose(full, 0.85 * colours(np.array(2.0)) + 0.15 * 128, atol=1)


def test_a_colour_means_the_same_in_every_image():
    alone = overlay(GREY, flat(0.7), 0.5, contour=False)[5, 5]
    beside = flat(0.7)
    beside[:, 5:] = 50.0
    np.testing.assert_array_equal(alone, overlay(GREY, beside, 0.5, contour=False)[5, 5])


@pytest.mark.parametrize("threshold", [5e-324, 1e-45, 1e-38, 1e39, 1.7e308, None])
@pytest.mark.parametrize("value", [0.0, 1e-45, 3e38, -3e38])
def test_no_map_and_no_threshold_is_too_small_or_large_to_draw(value, threshold):
    assert overlay(GREY, flat(value), threshold).shape == GREY.shape


def test_colours_grow_lighter_in_order():
    lightness = colours(np.linspace(0.7, 2, 40)) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > 0).all()


@pytest.mark.parametrize("shape", [(3, 5), (40, 60), (400, 300), (1, 1)])
def test_a_map_of_any_size_fits(shape):
    assert overlay(GREY, flat(0.9, shape), 0.5).shape == GREY.shape


def test_a_hot_spot_lands_where_it_lies():
    hot = flat(0.0, (20, 30))
    hot[15, 25] = 3.0
    drawn = np.abs(overlay(GREY, hot, 0.5).astype(int) - GREY).sum(axis=-1)
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    assert abs(row - 31) <= 3
    assert abs(column - 51) <= 3


def test_the_contour_surrounds_what_lies_above_the_threshold():
    hot = flat(0.4, (40, 60))
    hot[10:20, 10:30] = 0.9
    with_rim, without = overlay(GREY, hot, 0.5), overlay(GREY, hot, 0.5, contour=False)
    rim = (with_rim != without).any(axis=-1)
    assert rim[10, 20]
    assert rim[15, 10]
    assert not rim[15, 20]
    assert rim.sum() == 2 * (10 + 20) - 4


def test_a_map_wholly_above_the_threshold_has_no_rim():
    np.testing.assert_array_equal(overlay(GREY, flat(0.9), 0.5), overlay(GREY, flat(0.9), 0.5, contour=False))


def test_nan_is_drawn_as_nothing():
    np.testing.assert_array_equal(overlay(GREY, flat(np.nan), 0.5), GREY)


@pytest.mark.parametrize("threshold", [None, 0.0])
def test_without_a_threshold_the_maximum_is_full(threshold):
    faint, strong = flat(0.001), flat(0.0)
    faint[0, 0] = strong[0, 0] = 1.0
    assert (overlay(GREY, faint, threshold)[0, 0] == overlay(GREY, strong, threshold)[0, 0]).all()
    assert (overlay(GREY, flat(0.0), threshold) == GREY).all()


@pytest.mark.parametrize(
    ("picture", "anomaly_map", "words"),
    [
        (GREY[..., 0], flat(1), "picture is uint8"),
        (GREY.astype(np.float32), flat(1), "picture is float32"),
        (GREY, np.zeros((0, 4), np.float32), "anomaly map has the shape"),
        (GREY, np.zeros((4, 4, 1), np.float32), "anomaly map has the shape"),
    ],
)
def test_what_cannot_be_drawn_is_refused(picture, anomaly_map, words):
    with pytest.raises(ValueError, match=words):
        overlay(picture, anomaly_map, 0.5)


@pytest.mark.parametrize(("shape", "small"), [((400, 100), (80, 20)), ((30, 50), (30, 50)), ((1000, 2), (80, 1))])
def test_shrinking_keeps_the_proportions_and_never_enlarges(shape, small):
    assert shrunk(np.zeros((*shape, 3), np.uint8), 80).shape == (*small, 3)


def test_a_data_uri_holds_the_picture():
    np.testing.assert_allclose(pixels(data_uri(GREY)), GREY, atol=2)
