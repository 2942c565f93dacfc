import base64
import io

import numpy as np
import pytest
from PIL import Image

from reports import overlay as overlay_module
from reports.heat_scale import laid_over, ticks
from reports.overlay import data_uri, overlay, shrunk
from reports.scored_image import Box, box_in_shares, boxes_in_shares

GREY = np.full((40, 60, 3), 128, np.uint8)


def flat(value: float, shape: tuple[int, int] = (10, 10)) -> np.ndarray:
    return np.full(shape, value, np.float32)


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,")))))


def strength(value: float, level: float = 0.5) -> float:
    """How far a flat map of that value moves a grey picture."""
    return float(np.abs(overlay(GREY, flat(value), level, marks=False).astype(int) - GREY).sum(axis=-1).max())


def test_what_good_parts_have_everywhere_does_not_show():
    assert strength(0.12) == 0


def test_a_miss_can_be_seen_below_the_pixel_threshold():
    assert 20 < strength(0.3) < strength(0.45)


def test_a_strong_defect_keeps_its_shape_far_above_the_threshold():
    core, around = (overlay(GREY, flat(value), 0.5, marks=False)[0, 0].astype(int) for value in (6.0, 3.0))
    assert np.abs(core - around).max() > 20
    assert (overlay(GREY, flat(8.0), 0.5, marks=False) == overlay(GREY, flat(80.0), 0.5, marks=False)).all()


def test_a_colour_means_the_same_in_every_image():
    alone = overlay(GREY, flat(0.7), 0.5, marks=False)[5, 5]
    beside = flat(0.7)
    beside[:, 5:] = 50.0
    np.testing.assert_array_equal(alone, overlay(GREY, beside, 0.5, marks=False)[5, 5])


def test_no_colour_of_the_part_is_taken_for_one_of_the_map():
    red = np.full_like(GREY, 0)
    red[..., 0] = 200
    (drawn,) = np.unique(overlay(red, flat(0.0), 0.5).reshape(-1, 3), axis=0)
    assert len(set(drawn)) == 1


@pytest.mark.parametrize("threshold", [5e-324, 1e-45, 1e-38, 1e39, 1.7e308])
@pytest.mark.parametrize("value", [0.0, 1e-45, 3e38, -3e38])
def test_no_map_and_no_threshold_is_too_small_or_large_to_draw(value, threshold):
    assert overlay(GREY, flat(value), threshold).shape == GREY.shape


def test_colours_grow_lighter_in_order():
    ratio = np.geomspace(0.26, 16, 60, dtype=np.float32)[None]
    black = laid_over(np.zeros_like(ratio), ratio)[0]
    lightness = black @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > 0).all()


@pytest.mark.parametrize("shape", [(3, 5), (40, 60), (400, 300), (1, 1)])
def test_a_map_of_any_size_fits(shape):
    assert overlay(GREY, flat(0.9, shape), 0.5).shape == GREY.shape


def test_a_hot_spot_lands_where_it_lies():
    hot = flat(0.0, (20, 30))
    hot[15, 25] = 3.0
    drawn = np.abs(overlay(GREY, hot, 0.5, marks=False).astype(int) - GREY).sum(axis=-1)
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    assert abs(row - 31) <= 3
    assert abs(column - 51) <= 3


def marked(anomaly_map: np.ndarray, boxes=()) -> np.ndarray:
    """Which pixels of the picture the marks lie on: bool (40, 60)."""
    drawn = overlay(GREY, anomaly_map, 0.5, boxes) != overlay(GREY, anomaly_map, 0.5, marks=False)
    return drawn.any(axis=-1)


def test_the_rim_surrounds_what_lies_above_the_pixel_threshold():
    hot = flat(0.2, (40, 60))
    hot[10:30, 10:50] = 0.9
    hot[20, 40] = 1.0  # the ring lies around it
    rim = marked(hot)
    assert rim[10, 20]
    assert rim[15, 10]
    assert not rim[15, 20]
    assert not rim[9, 20]


def test_a_map_wholly_above_the_pixel_threshold_has_no_rim():
    rim = marked(flat(0.9))
    assert not rim[20:, 30:].any()


def test_the_strangest_place_is_ringed_in_a_miss_too():
    faint = flat(0.1, (20, 30))
    faint[15, 25] = 0.3
    rows, columns = np.nonzero(marked(faint))
    assert abs(rows.mean() - 31) < 1
    assert abs(columns.mean() - 51) < 1


def test_a_map_of_nothing_has_no_strangest_place():
    assert not marked(flat(0.0)).any()


@pytest.mark.parametrize(("shape", "at"), [((40, 60), (8, 12, 31, 47)), ((80, 120), (16, 24, 63, 95))])
def test_boxes_stand_around_the_same_part_of_pictures_of_any_size(shape, at):
    picture = np.full((*shape, 3), 128, np.uint8)
    box = boxes_in_shares([{"top": 20, "left": 20, "height": 60, "width": 60, "peak": 9.0}], 100, 100)
    drawn = overlay(picture, flat(0.0), 0.5, box)
    white = (drawn == 255).all(axis=-1)
    rows, columns = np.nonzero(white)
    assert (rows.min(), columns.min(), rows.max(), columns.max()) == at
    assert not white[shape[0] // 2, shape[1] // 2]


@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(0.99, 0.99, 0.5, 0.5), Box(0.5, 0.5, 0, 0)])
def test_no_box_is_too_large_or_small_to_draw(box):
    assert (overlay(GREY, flat(0.0), 0.5, [box]) != 128).any()


def test_an_image_without_boxes_or_size_has_none():
    assert boxes_in_shares(None, 10, 10) == ()
    assert boxes_in_shares([{"top": 1, "left": 1, "height": 1, "width": 1}], None, 10) == ()


def test_the_legend_says_where_the_threshold_lies():
    assert [(tick.label, round(tick.place)) for tick in ticks(0.5, 1.0)] == [
        ("¼", 0), ("1", 33), ("4", 67), ("16 ×", 100), ("threshold", 50),
    ]  # fmt: skip
    assert len(ticks(None, None)) == len(ticks(0.5, 0.0)) == len(ticks(0.5, 0.5)) == 4


def test_nan_is_drawn_as_nothing():
    np.testing.assert_array_equal(overlay(GREY, flat(np.nan), 0.5), GREY)


def test_where_no_normal_pixel_stands_out_the_maximum_is_full():
    faint, strong = flat(0.001), flat(0.0)
    faint[0, 0] = strong[0, 0] = 1.0
    assert (overlay(GREY, faint, 0.0)[0, 0] == overlay(GREY, strong, 0.0)[0, 0]).all()
    assert (overlay(GREY, flat(0.0), 0.0) == GREY).all()


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


def test_a_picture_is_shrunk_in_strips_as_pillow_shrinks_it_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay_module, "_STRIP_PIXELS", 3000)
    picture = np.random.default_rng(0).integers(0, 256, (403, 605, 3), dtype=np.uint8)
    whole = Image.fromarray(picture).resize((60, 40), Image.Resampling.LANCZOS, reducing_gap=3.0)
    np.testing.assert_array_equal(shrunk(picture, 60), np.asarray(whole))


def test_a_data_uri_holds_the_picture():
    np.testing.assert_allclose(pixels(data_uri(GREY)), GREY, atol=2)


def test_a_map_of_a_crop_lies_in_the_crop_and_its_surroundings_stay_grey():
    hot = flat(0.0, (10, 10))
    hot[0, 0] = 3.0
    covered = box_in_shares((20, 30, 20, 30), 40, 60)
    drawn = overlay(GREY, hot, 0.5, marks=False, covered=covered)
    coloured = np.argwhere((drawn != 128).any(axis=2))
    assert coloured.min(axis=0).tolist() == [20, 30] and (coloured.max(axis=0) < [26, 40]).all()
    np.testing.assert_array_equal(drawn[20:, 30:], overlay(GREY[20:, 30:], hot, 0.5, marks=False))
    ring = (overlay(GREY, hot, 0.5, covered=covered) != drawn).any(axis=2)
    assert ring.any() and not ring[:14].any() and not ring[:, :22].any()


def test_ignored_regions_are_darker_stripes_and_the_rest_is_as_without_them():
    ignored = np.zeros((20, 30), np.bool_)
    ignored[:5] = True
    drawn = overlay(GREY, flat(0.7), 0.5, marks=False, ignored=ignored)
    plain = overlay(GREY, flat(0.7), 0.5, marks=False)
    np.testing.assert_array_equal(drawn[10:], plain[10:])
    assert len(np.unique(drawn[:10].reshape(-1, 3), axis=0)) == 2
    assert (drawn[:10] != plain[:10]).any(axis=2).all()
