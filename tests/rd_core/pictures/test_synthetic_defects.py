import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion

from rd_core.pictures.synthetic_defects import (
    DEFECTS,
    FEWEST_PIXELS,
    VISIBLE,
    SyntheticDefectImages,
    other_finish,
    wandering_line,
    with_synthetic_defect,
)
from tests.examples import examples
from tests.rd_core.striped_images import textured


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
@pytest.mark.parametrize("size", [(64, 64), (64, 96), (224, 160)])
def test_a_defect_changes_a_part_of_the_picture_and_not_the_picture_given(defect, size):
    picture, donor = (np.float32(textured(1, *size, seed=seed)[0]) / 255 for seed in (0, 1))
    before = picture.copy()
    shares = []
    for seed in range(30):
        defective = defect(picture, donor, np.random.default_rng(seed))
        assert defective.shape == picture.shape
        shares.append(np.mean(np.abs(np.clip(defective, 0, 1) - picture).max(axis=-1) > VISIBLE))
    assert np.array_equal(picture, before)
    assert 0 < np.median(shares) < 0.2
    assert max(shares) < 0.6


def test_another_finish_flattens_the_grain_or_raises_it_and_leaves_the_rest():
    picture = np.random.default_rng(0).uniform(0.4, 0.6, (96, 96, 3)).astype(np.float32)
    ratios = []
    for seed in range(40):
        defective = other_finish(picture, picture, np.random.default_rng(seed))
        changed = np.abs(defective - picture).max(axis=-1) > 0.02
        ratios.append(defective[changed].std() / picture[changed].std())
        assert np.abs(defective - picture)[~changed].max() <= 0.02
    assert np.quantile(ratios, 0.2) < 0.7
    assert np.quantile(ratios, 0.8) > 1.4


def test_a_wandering_line_is_thin_and_mostly_dark():
    grey = np.full((160, 160, 3), 0.5, np.float32)
    lines = [wandering_line(grey, grey, np.random.default_rng(seed)) - grey for seed in range(60)]
    darker = [line.sum() < 0 for line in lines if np.any(line)]
    assert 0.5 < np.mean(darker) < 0.85
    for line in lines:
        core = np.abs(line).max(axis=-1) > np.abs(line).max() / 2
        assert not binary_erosion(core, iterations=3).any()


@examples(25)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_mask_holds_what_changed_visibly(seed):
    image, donor = textured(2, seed=3)
    defective, mask = with_synthetic_defect(image, donor, np.random.default_rng(seed))
    change = np.abs(defective.astype(int) - image).max(axis=-1)
    assert defective.dtype == np.uint8
    assert np.count_nonzero(mask) >= FEWEST_PIXELS
    assert change[mask].min() >= VISIBLE * 255 - 1
    assert change[~mask].max() <= VISIBLE * 255 + 1


def test_an_image_of_one_colour_ends_the_search_for_a_visible_defect():
    black = np.zeros((32, 32, 3), np.uint8)
    defective, mask = with_synthetic_defect(black, black, np.random.default_rng(0))
    assert defective.shape == black.shape
    assert mask.shape == (32, 32)


def test_defective_images_are_copies_of_their_image_the_same_every_time():
    images = list(textured(3, 80, 100))
    defective = SyntheticDefectImages(images, copies=4, height=64, width=96, seed=5)
    assert len(defective) == 12
    first, again = (
        np.stack([one[i] for i in range(12)]) for one in (defective, SyntheticDefectImages(images, 4, 64, 96, 5))
    )
    assert np.array_equal(first, again)
    assert len({one.tobytes() for one in first}) == 12
    assert not np.array_equal(first, np.stack(list(SyntheticDefectImages(images, 4, 64, 96, 6))))


def test_a_defective_image_looks_like_the_one_it_was_made_of():
    dark, bright = np.full((64, 64, 3), 40, np.uint8), np.full((64, 64, 3), 200, np.uint8)
    defective = SyntheticDefectImages([dark, bright], copies=6, height=64, width=64, seed=0)
    middles = np.array([np.median(one) for one in defective])
    assert np.array_equal(abs(middles - 40) < abs(middles - 200), [True] * 6 + [False] * 6)


def test_a_donor_is_of_the_images_own_group_and_without_groups_any_image():
    images = list(textured(4))
    groups = np.array([0, 1, 0, 1])
    before, own = SyntheticDefectImages(images, 30, 64, 64, 0), SyntheticDefectImages(images, 30, 64, 64, 0, groups)
    drawn = [(before[i], own[i]) for i in range(120)]
    images[1], images[3] = 255 - images[1], 255 - images[3]
    for copies, inside in ((0, 30), (60, 90)):
        assert all(np.array_equal(own[i], drawn[i][1]) for i in range(copies, inside))
        assert any(not np.array_equal(before[i], drawn[i][0]) for i in range(copies, inside))
    one = SyntheticDefectImages(images, 30, 64, 64, 0, np.zeros(4, np.int64))
    assert all(np.array_equal(one[i], before[i]) for i in range(120))


def test_a_number_beyond_the_last_is_an_index_error():
    with pytest.raises(IndexError, match="index 4 is out of range: there are 4 images"):
        SyntheticDefectImages(list(textured(2)), copies=2, height=64, width=64, seed=0)[4]


def test_defects_are_drawn_where_pixels_count_and_show_nothing_of_the_others():
    image, donor = textured(2)
    masks = np.ones((2, 64, 64), np.bool_)
    masks[0, :, :40], masks[1, 30:] = False, False
    found = []
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 256, image.shape, np.uint8)
        given = [np.where(mask[..., None], own, noise) for mask, own in zip(masks, (image, donor), strict=True)]
        for draw in range(12):
            drawn, mask = with_synthetic_defect(*given, np.random.default_rng(draw), (masks[0], masks[1]))
            assert np.array_equal(drawn[:, :40], given[0][:, :40]) and not mask[:, :40].any()
            assert np.count_nonzero(mask) >= FEWEST_PIXELS
            found.append(drawn[:, 40:])
    assert np.array_equal(found[:12], found[12:])
