"""Held-out normals set the thresholds: for old and new ones alike, and without those that look like defects."""

from collections.abc import Sequence

import numpy as np
import pytest

from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.image_statistics import image_statistics
from tasks.training.calibration import FEWEST_NEW, Calibration, HeldOutNormals, judge_held_out

ALPHA = 0.1


class Brightness:
    """A model whose score is how bright the image is."""

    def score(self, images: np.ndarray, counted: np.ndarray | None = None) -> AnomalyMaps:
        assert counted is None
        maps = images.mean(axis=3, dtype=np.float32) / 255
        return AnomalyMaps(maps, maps.max(axis=(1, 2)), np.zeros(len(images), np.float32))


def flat(shade: int) -> np.ndarray:
    return np.full((8, 8, 3), shade, np.uint8)


class _Flat(list[np.ndarray]):
    picture_bytes = 8 * 8 * 3

    def counted(self, _index: int) -> None:
        return None


def held_out(shades: Sequence[int], new: Sequence[int] = ()) -> HeldOutNormals:
    """Flat pictures of these shades; `new`: the places of new ones."""
    keys = [str(place) for place in range(len(shades))]
    statistics = {key: image_statistics(flat(shade)) for key, shade in zip(keys, shades, strict=True)}
    return HeldOutNormals(keys, keys, statistics, {keys[place] for place in new})


def test_the_highest_normals_are_named_where_the_threshold_rests_on_them() -> None:
    few = calibrated([66, 40, 70, *range(41, 60), 68])
    assert list(few.highest) == ["2", "22", "0"] and few.above == 1, "a threshold of two ranks"
    assert few.highest["22"].startswith("A model that has not seen its part scores it 0.2667, ")
    assert few.highest["22"].endswith(" robust standard deviations above the other normals.")
    assert not calibrated(range(40, 80)).highest, "three lie above it"


def calibrated(shades: Sequence[int], new: Sequence[int] = ()) -> Calibration:
    """As a split calibrates."""
    normals = held_out(shades, new)
    judge_held_out(Brightness(), _Flat(flat(shade) for shade in shades), normals)  # type: ignore[arg-type]
    return normals.calibrate(ALPHA, extrapolate=True)


OLD = list(range(10, 70))
BRIGHT, DARK = list(range(200, 230)), list(range(5, 35))


def test_new_normals_that_score_higher_set_the_threshold() -> None:
    found = calibrated(OLD + BRIGHT, range(len(OLD), len(OLD) + len(BRIGHT)))
    alone = calibrated(BRIGHT)
    assert found.set_aside == {}  # after a change of light all stand out
    assert found.threshold == alone.threshold
    assert found.threshold.n == len(found.scores) == len(BRIGHT)
    assert found.pixel_threshold == alone.pixel_threshold
    for group in (OLD, BRIGHT):
        assert np.mean(np.array(group) / 255 > found.threshold.value) <= ALPHA
    together = calibrated(OLD + BRIGHT)
    assert np.mean(np.array(BRIGHT) / 255 > together.threshold.value) > ALPHA


@pytest.mark.parametrize("new", [DARK, BRIGHT[: FEWEST_NEW - 1], []], ids=["lower", "too few", "none"])
def test_otherwise_all_normals_set_it(new: list[int]) -> None:
    found = calibrated(OLD + new, range(len(OLD), len(OLD) + len(new)))
    assert found.threshold == calibrated(OLD + new).threshold


NORMAL = [40 + place % 7 for place in range(60)]
DEFECTS = [250, 254]


def test_what_looks_like_a_defect_sets_no_threshold_and_is_told_with_its_score() -> None:
    found, clean = calibrated([*NORMAL[:30], *DEFECTS, *NORMAL[30:]]), calibrated(NORMAL)
    assert list(found.set_aside) == ["31", "30"]
    assert found.set_aside["31"].startswith("A model that has not seen its part scores it 0.9961, ")
    assert (found.threshold, found.pixel_threshold) == (clean.threshold, clean.pixel_threshold)
    assert found.statistics.keys() == clean.statistics.keys()
    for name, values in clean.statistics.items():
        np.testing.assert_array_equal(found.statistics[name], values)


def test_judged_in_any_order_the_thresholds_are_those_of_a_split() -> None:
    shades = [*NORMAL[:30], *DEFECTS, *NORMAL[30:]]
    normals, model = held_out(shades), Brightness()
    everything = model.score(np.stack([flat(shade) for shade in shades]))
    assert sorted(normals.set_aside(3 * everything.scores.astype(np.float64))) == [30, 31]
    for numbers in np.array_split(np.random.default_rng(0).permutation(len(shades)), 7):
        normals.judge(numbers.tolist(), AnomalyMaps(*(values[numbers] for values in everything)))
    found, split = normals.calibrate(ALPHA, extrapolate=True), calibrated(shades)
    assert (found.threshold, found.pixel_threshold) == (split.threshold, split.pixel_threshold)
    assert found.set_aside == split.set_aside
    np.testing.assert_array_equal(found.scores, split.scores)


def test_a_wrong_label_among_new_normals_stands_out_among_these() -> None:
    new = [70 + place % 7 for place in range(30)]
    shades = [*NORMAL, *new, 250]
    found = calibrated(shades, range(len(NORMAL), len(shades)))
    assert list(found.set_aside) == [str(len(shades) - 1)]
    clean = calibrated(shades[:-1], range(len(NORMAL), len(shades) - 1))
    assert (found.threshold, found.pixel_threshold) == (clean.threshold, clean.pixel_threshold)


def test_a_few_new_normals_in_other_light_are_no_wrong_labels() -> None:
    new = [150 + place % 7 for place in range(FEWEST_NEW)]
    shades = [*NORMAL, *NORMAL, *new]
    assert calibrated(shades, range(2 * len(NORMAL), len(shades))).set_aside == {}
    assert calibrated(shades).set_aside != {}
