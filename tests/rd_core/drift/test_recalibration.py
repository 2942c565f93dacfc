import numpy as np
import pytest

from rd_core.calibration.threshold import calibrate
from rd_core.drift.recalibration import recalibrate
from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import Baseline, baseline, window

SETTINGS = DriftSettings(defect_share=0.03)


def held(random: np.random.Generator, n: int = 400) -> Baseline:
    scores = random.gamma(4, size=n)
    return baseline(scores, 0.05, calibrate(scores, 0.05).value)


def test_a_window_of_the_same_law_gives_nearly_the_same_threshold():
    random = np.random.default_rng(0)
    before = held(random, 4000)
    recalibration = recalibrate(window(np.ones(4000), random.gamma(4, size=4000)), before, SETTINGS)
    assert recalibration.threshold.value == pytest.approx(before.threshold, rel=0.04)
    assert recalibration.to_normal + recalibration.to_anomalous < 60


@pytest.mark.parametrize("defects", [0, 0.03])
def test_defects_in_the_window_do_not_raise_the_threshold(defects):
    """The false-alarm rate of the new threshold stays near alpha, though the normals moved and stretched."""
    random = np.random.default_rng(1)
    rates, naive = [], []
    for _ in range(30):
        before, defective = held(random), int(defects * 2000)
        normals = 3 + 1.3 * random.gamma(4, size=2000)
        scores = np.r_[normals[defective:], np.full(defective, 60.0)]
        recalibration = recalibrate(window(np.ones(2000), scores), before, SETTINGS)
        rates.append(np.mean(3 + 1.3 * random.gamma(4, size=20_000) > recalibration.threshold.value))
        naive.append(np.mean(3 + 1.3 * random.gamma(4, size=20_000) > calibrate(scores, 0.05).value))
    assert np.mean(rates) == pytest.approx(0.05, abs=0.013)
    if defects == 0.03:
        assert np.mean(naive) < 0.025


def test_no_more_is_left_out_than_the_ordinary_share():
    random = np.random.default_rng(2)
    scores = np.r_[random.gamma(4, size=900), np.full(100, 60.0)]
    recalibration = recalibrate(window(np.ones(1000), scores), held(random), SETTINGS)
    assert recalibration.left_out == 30
    clean = recalibrate(
        window(np.ones(1000), random.gamma(4, size=1000)), held(random), DriftSettings(defect_share=0)
    )
    assert clean.left_out == 0


def test_flips_are_counted_each_way():
    before = baseline(np.arange(100.0), 0.1, 90.0)
    higher = recalibrate(window(np.ones(100), np.arange(100.0) + 50), before, DriftSettings(defect_share=0))
    assert higher.threshold.value == 140
    assert (higher.to_normal, higher.to_anomalous) == (50, 0)  # 91 to 140
    lower = recalibrate(window(np.ones(100), np.arange(100.0) - 50), before, DriftSettings(defect_share=0))
    assert lower.threshold.value == 40
    assert (lower.to_normal, lower.to_anomalous) == (0, 9)  # 41 to 49


def test_too_few_images_give_no_threshold():
    assert recalibrate(window([1], [5.0]), baseline(np.arange(20), 0.1, 18), SETTINGS) is None


def test_a_calibration_without_spread_is_only_moved():
    before = baseline(np.full(20, 3.0), 0.1, 3.0)
    recalibration = recalibrate(window(np.ones(20), np.full(20, 5.0)), before, SETTINGS)
    assert recalibration.threshold.value == 5
