import numpy as np
import pytest

from rd_core.drift.golden import golden_replay
from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import baseline, window

SCORES = np.random.default_rng(0).normal(5, 2, 400)


def replay(before, now):
    return golden_replay(window([1], [5.0], golden=now), baseline(SCORES, 0.1, 8.0, golden=before), DriftSettings())


def test_rounding_is_no_change():
    result = replay([1.0, 2.0, 3.0], np.float32([1.0, 2.001, 2.999]))
    assert (result.images, result.changed) == (3, 0)
    assert result.largest_change == pytest.approx(0.0005, rel=0.2)


def test_one_changed_score_counts_whichever_way_it_went():
    result = replay([1.0, 2.0, 3.0], [1.0, 1.6, 3.1])
    assert result.changed == 2
    assert result.largest_change == pytest.approx(0.2, rel=0.15)


def test_a_golden_image_that_gets_no_score_has_changed():
    result = replay([1.0, 2.0], [1.0, np.nan])
    assert (result.changed, result.largest_change) == (1, 0)


def test_without_golden_images_there_is_nothing_to_tell():
    assert replay(None, [1.0]) is None
    assert replay([1.0], None) is None


def test_other_images_are_refused():
    with pytest.raises(ValueError, match="1 golden images were replayed but 2 are known"):
        replay([1.0, 2.0], [1.0])
