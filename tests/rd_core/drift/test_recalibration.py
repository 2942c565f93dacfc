import numpy as np
import pytest

from rd_core.calibration.threshold import calibrate
from rd_core.calibration.unlabelled import calibrate_unlabelled
from rd_core.drift.recalibration import recalibrate
from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import Baseline, baseline, window

SETTINGS = DriftSettings()


def held(random: np.random.Generator, n: int = 400) -> Baseline:
    scores = random.gamma(4, size=n)
    return baseline(scores, 0.05, calibrate(scores, 0.05).value)


def test_the_threshold_is_that_of_unlabelled_scores() -> None:
    random = np.random.default_rng(1)
    before, scores = held(random), np.r_[3 + 1.3 * random.gamma(4, size=1960), np.full(40, 60.0)]
    new = recalibrate(window(np.ones(2000), scores), before, SETTINGS)
    assert new
    same = calibrate_unlabelled(scores, 0.05, reference=before.scores)
    assert (new.threshold, new.left_out) == (same.threshold, same.left_out)
    assert new.to_anomalous == 0
    assert new.to_normal == np.count_nonzero(scores > before.threshold) - np.count_nonzero(
        scores > new.threshold.value
    )


def test_flips_are_counted_each_way() -> None:
    before = baseline(np.arange(100.0), 0.1, 90.0)
    higher = recalibrate(window(np.ones(100), np.arange(100.0) + 50), before, SETTINGS)
    assert higher
    assert higher.threshold.value == 140
    assert (higher.to_normal, higher.to_anomalous) == (50, 0)  # 91 to 140
    lower = recalibrate(window(np.ones(100), np.arange(100.0) - 50), before, SETTINGS)
    assert lower
    assert lower.threshold.value == 40
    assert (lower.to_normal, lower.to_anomalous) == (0, 9)  # 41 to 49


@pytest.mark.parametrize(("share", "least", "most"), [(0.02, 40, 40), (0.2, 60, 70)])
def test_a_line_with_more_defects_may_leave_out_more(share: float, least: int, most: int) -> None:
    random = np.random.default_rng(2)
    scores = np.r_[random.gamma(4, size=340), np.full(60, 60.0)]
    new = recalibrate(window(np.ones(400), scores), held(random), DriftSettings(defect_share=share))
    assert new and least <= new.left_out <= most


def test_too_few_images_give_no_threshold() -> None:
    before = baseline(np.arange(20), 0.1, 18)
    assert recalibrate(window(np.ones(19), np.arange(19)), before, SETTINGS) is None
    assert recalibrate(window(np.ones(20), np.arange(20)), before, SETTINGS) is not None
