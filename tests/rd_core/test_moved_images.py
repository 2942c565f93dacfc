"""Images moved by some pixels."""

import numpy as np
import pytest
from scipy.ndimage import shift

from rd_core.moved_images import MovedImages, moved
from tests.rd_core.striped_images import textured


@pytest.mark.parametrize("by", [(0, 0), (3, 0), (0, -4), (-5, 2), (7, 7)])
def test_an_image_is_moved_and_mirrored_where_it_was_not_seen(by):
    image = textured(1, 48, 64)[0]
    expected = np.stack([shift(image[..., k], by, order=0, mode="mirror") for k in range(3)], axis=-1)
    np.testing.assert_array_equal(moved(image, *by), expected)


def test_views_are_of_their_image_moved_by_up_to_a_thirty_second_of_its_sides_the_same_every_time():
    images = list(textured(3, 80, 100))
    views = MovedImages(images, views=40, height=64, width=96, seed=5)
    assert len(views) == 120
    first, again = (np.stack([one[i] for i in range(120)]) for one in (views, MovedImages(images, 40, 64, 96, 5)))
    assert np.array_equal(first, again)
    still = np.stack([MovedImages([image], 1, 64, 96, 0)._resized(0) for image in images])
    found = set()
    for number, view in enumerate(first):
        fits = [
            (down, right)
            for down in range(-4, 5)
            for right in range(-5, 6)
            if np.array_equal(view, moved(still[number // 40], down, right))
        ]
        assert fits
        found.add(fits[0])
    assert {down for down, _ in found} == set(range(-2, 3))
    assert {right for _, right in found} == set(range(-3, 4))


def test_no_views_are_no_images():
    assert len(MovedImages(list(textured(2)), views=0, height=64, width=64, seed=0)) == 0


def test_a_number_beyond_the_last_is_an_index_error():
    with pytest.raises(IndexError, match="there are 4 moved images, none with the number 4"):
        MovedImages(list(textured(2)), views=2, height=64, width=64, seed=0)[4]
