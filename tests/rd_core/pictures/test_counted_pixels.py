"""Which positions of a grid count, and means over them."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from rd_core.pictures.counted_pixels import CountedPixels, image_means, zeroed
from rd_core.pictures.images import JoinedImages, SomeImages, counted_in
from tests.rd_core.detectors.partly_ignored import PartlyIgnoredImages


def test_a_position_counts_if_at_least_half_of_its_pixels_do() -> None:
    pixels = torch.zeros(2, 8, 12, dtype=torch.bool)
    pixels[0, :2, :4] = True
    pixels[0, :2, 4:8] = True
    pixels[0, 0, 4] = False
    pixels[1, 4:, 8:] = True
    assert CountedPixels(pixels).on_grid(4).tolist() == [
        [[True, False, False], [False] * 3],
        [[False] * 3, [False, False, True]],
    ]
    last = torch.zeros(1, 8, 12, dtype=torch.bool)
    last[:, :4, 8:] = True
    assert CountedPixels(last).on_grid(8).tolist() == [[[False, True]]], "of the pixels that the image has of it"


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_means_are_over_counted_positions_and_keep_their_bits_where_all_count(layout: torch.memory_format) -> None:
    random = torch.Generator().manual_seed(0)
    values = torch.randn(3, 5, 16, 24, generator=random).contiguous(memory_format=layout)
    pixels = torch.rand(3, 64, 96, generator=random) < 0.5
    pixels[2] = True
    counted = CountedPixels(pixels)
    grid = counted.on_grid(4).numpy()
    kept = zeroed(values, counted, 4)
    assert kept.stride() == values.stride()
    for image in range(3):
        expected = values[image].numpy()[:, grid[image]]
        assert_allclose(kept[image].numpy()[:, grid[image]], expected)
        assert_allclose(image_means(kept, counted, 4)[image], expected.mean(axis=1), rtol=1e-4, atol=1e-6)
    assert torch.equal(image_means(kept, counted, 4)[2], image_means(values, None, 4)[2])


def test_chosen_and_joined_images_keep_what_counts_of_each() -> None:
    masks = [np.eye(4, dtype=np.bool_), None, np.tri(4, dtype=np.bool_)]
    some = PartlyIgnoredImages(np.zeros((3, 4, 4, 3), np.uint8), masks)
    joined = SomeImages(JoinedImages(np.zeros((2, 4, 4, 3), np.uint8), some), [4, 1, 2])
    found = counted_in(joined, [0, 1, 2])
    assert found is not None
    for mask, expected in zip(found, (masks[2], np.ones((4, 4), np.bool_), masks[0]), strict=True):
        assert np.array_equal(mask, expected)
    assert counted_in(joined, [1]) is None and counted_in([], []) is None
