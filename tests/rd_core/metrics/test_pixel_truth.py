import numpy as np
import pytest

from rd_core.metrics.pixel_truth import DefectiveMap, NormalMap, UncountedMap, pixel_truths

MAP = np.ones((3, 4), np.float16)
NAN = np.full((3, 4), np.nan, np.float16)
MASK = np.eye(3, 4, dtype=bool)
EMPTY = np.zeros((3, 4), bool)


def only(values, mask, anomalous):
    (truth,) = pixel_truths([values], [mask], [anomalous])
    return truth


def test_a_normal_image_is_defect_free_with_or_without_a_mask():
    assert isinstance(only(MAP, None, False), NormalMap)
    assert isinstance(only(MAP, EMPTY, np.False_), NormalMap)


def test_an_anomalous_image_counts_only_with_a_mask():
    truth = only(MAP, MASK, np.True_)
    assert isinstance(truth, DefectiveMap)
    assert truth.defects is MASK
    assert only(MAP, None, True) == UncountedMap("unmasked")


@pytest.mark.parametrize(("mask", "anomalous"), [(None, False), (None, True), (MASK, True)])
def test_an_image_that_was_not_scored_counts_as_nothing(mask, anomalous):
    assert only(NAN, mask, anomalous) == UncountedMap("unscored")


def test_a_map_with_a_hole_is_refused():
    holed = MAP.copy()
    holed[1, 2] = np.nan
    with pytest.raises(ValueError, match="map 0 is NaN in 1 of 12"):
        only(holed, None, False)


@pytest.mark.parametrize("label", [None, 0, 1, "normal", np.int64(0), 0.0])
def test_a_label_that_is_none_is_refused(label):
    with pytest.raises(ValueError, match="Leave unlabelled images out"):
        only(MAP, None, label)


@pytest.mark.parametrize("values", [MAP.astype(np.float32), MAP[None], MAP[:0]])
def test_what_is_no_stored_map_is_refused(values):
    with pytest.raises(ValueError, match="Give the stored maps"):
        only(values, None, False)


@pytest.mark.parametrize("mask", [MASK.astype(np.uint8), MASK.T, MASK[:2]])
def test_a_mask_of_another_grid_is_refused(mask):
    with pytest.raises(ValueError, match="mask_on_map"):
        only(MAP, mask, True)


def test_a_mask_that_contradicts_the_label_is_refused():
    with pytest.raises(ValueError, match="normal but its mask has 3 defect pixels"):
        only(MAP, MASK, False)
    with pytest.raises(ValueError, match="anomalous but its mask is empty"):
        only(MAP, EMPTY, True)


@pytest.mark.parametrize(
    ("maps", "masks", "labels"),
    [([MAP] * 2, [None], [False]), ([MAP], [None] * 2, [False] * 2), ([MAP] * 2, [None] * 2, [False])],
)
def test_other_lengths_are_refused(maps, masks, labels):
    with pytest.raises(ValueError, match="one ends at 1"):
        list(pixel_truths(maps, masks, labels))
