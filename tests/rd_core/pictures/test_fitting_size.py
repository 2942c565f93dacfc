"""The size that a user gets who sets none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.errors import ConfigError
from rd_core.pictures.fitting_size import LEAST_PIXELS, MOST_PIXELS, SIDE_STEP, fitting_size, own_size

SIDES = st.integers(8, 9000)


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        ([(1260, 500), (1235, 500), (1285, 500)], (640, 256)),
        ([(300, 300)], (256, 256)),
        ([(200, 300)] * 2, (192, 288)),
        ([(48, 64)], (224, 288)),
        ([(1080, 1920)], (384, 672)),
        # A camera was exchanged for one of more pixels, and one picture is of something else.
        ([(300, 400)] * 30 + [(600, 800)] * 29 + [(500, 200)], (224, 288)),
        ([(300, 150), (300, 150), (150, 300)], (256, 256)),
    ],
)
def test_images_of_one_shape_keep_it_and_others_become_square(
    sizes: list[tuple[int, int]], chosen: tuple[int, int]
) -> None:
    fitting = fitting_size(sizes)
    assert (fitting.height, fitting.width) == chosen


@given(SIDES, SIDES)
def test_any_image_gets_a_size_of_bounded_cost_near_its_shape(height: int, width: int) -> None:
    fitting = fitting_size([(height, width)])
    assert fitting.height % SIDE_STEP == fitting.width % SIDE_STEP == 0 < min(fitting.height, fitting.width)
    # The shorter side is at least a step: strips as thin as a hair are bent, and longer than they should be.
    if min(height, width) >= 256 and max(height, width) <= 16 * min(height, width):
        bent = abs(math.log(fitting.width / fitting.height * height / width))
        assert bent <= math.log(1.2)
        assert LEAST_PIXELS * 0.75 <= fitting.height * fitting.width <= MOST_PIXELS * 1.25


def test_without_an_image_there_is_nothing_to_choose_by() -> None:
    with pytest.raises(ConfigError, match="image_size = 256"):
        fitting_size([])


def test_tiles_cover_images_at_their_own_median_size() -> None:
    size = own_size([(1250, 500), (1251, 502), (1000, 501)], 256)
    assert (size.height, size.width) == (1248, 500) and "own size" in size.why
    assert own_size([(200, 700)], 256).height == 256
