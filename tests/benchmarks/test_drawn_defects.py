"""Defects to choose settings by."""

import numpy as np
import pytest

from benchmarks.drawn_defects import (
    BOARD,
    CASTING,
    TEXTURE,
    chip,
    crack,
    draw,
    faded,
    hairline,
    residue,
    spot,
    uneven,
)
from tests.rd_core.striped_images import textured


@pytest.mark.parametrize("kinds", [TEXTURE, CASTING, BOARD])
def test_every_image_has_a_visible_defect_where_its_mask_says(kinds):
    images = textured(2 * len(kinds), 96, 96)
    drawn = draw(images, kinds)
    assert drawn.kinds == tuple(kind.__name__ for kind in kinds) * 2
    for image, marred, mask in zip(images, drawn.images, drawn.masks, strict=True):
        change = np.abs(marred.astype(int) - image).max(axis=-1)
        assert mask.any()
        assert change[mask].mean() > change[~mask].mean()
        assert np.count_nonzero(change > 8) >= 8


def test_a_faded_defect_is_the_same_at_a_share_of_its_strength():
    images = textured(40, 64, 64)
    drawn = draw(images, TEXTURE)
    faint = faded(images, drawn, 0.2)
    assert np.array_equal(faint.masks, drawn.masks)
    full, less = (one.images.astype(float) - images for one in (drawn, faint))
    strengths = (full * less).sum(axis=(1, 2, 3)) / (full**2).sum(axis=(1, 2, 3))
    assert 0.18 < strengths.min() < 0.3
    assert 0.8 < strengths.max() < 1.02
    np.testing.assert_allclose(less, full * strengths[:, None, None, None], atol=1)
    assert np.array_equal(faded(images, drawn, 1.0).images, drawn.images)


def test_defects_lie_at_the_border_where_they_may():
    images = textured(60, 64, 64)
    for inset, at_the_border in ((1, 0), (0, 3)):
        masks = draw(images, (spot, crack), inset=inset).masks
        edge = np.concatenate([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], axis=1)
        assert edge.any(axis=1)[::2].sum() >= at_the_border  # of 30 spots
        assert at_the_border or not edge.any(axis=1)[::2].any()


def test_a_chip_lies_at_the_border_and_a_hairline_is_fainter_than_a_crack():
    images = textured(20, 96, 96)
    chips = draw(images, (chip,)).masks
    assert all(mask[[0, -1]].any() or mask[:, [0, -1]].any() for mask in chips)
    darkest = [
        np.abs(draw(images, (kind,)).images.astype(int) - images).max(axis=(1, 2, 3)).mean()
        for kind in (crack, hairline)
    ]
    assert darkest[1] < 0.7 * darkest[0]


def test_grain_is_flattened_by_residue_and_stands_out_where_grinding_was_uneven():
    images = np.random.default_rng(0).integers(90, 160, (12, 96, 96, 1), np.uint8).repeat(3, axis=3)
    for kind, bounds in ((residue, (0.0, 0.75)), (uneven, (1.05, 3.0))):
        drawn = draw(images, (kind,))
        ratios = [
            marred[mask].std() / image[mask].std()
            for image, marred, mask in zip(images, drawn.images, drawn.masks, strict=True)
        ]
        assert bounds[0] < np.median(ratios) < bounds[1]
