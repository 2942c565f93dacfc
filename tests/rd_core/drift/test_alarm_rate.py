import numpy as np
import pytest
from scipy.stats import beta, betabinom, binom

from rd_core.calibration.threshold import calibrate
from rd_core.drift.alarm_rate import alarm_rate, alarm_rate_by_day, in_control_alarms, threshold_rank
from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import baseline, window

NO_DEFECTS = DriftSettings(defect_share=0, significance=0.01)


def test_alarms_are_counted_above_the_threshold_by_window_and_by_day():
    held = baseline(np.arange(100), 0.05, 95.0)
    days = window([1, 1, 2, 2, 2], [95.0, 95.1, 99.0, 1.0, 2.0])
    whole = alarm_rate(days, held, NO_DEFECTS)
    assert (whole.images, whole.alarms, whole.rate) == (5, 2, 0.4)
    assert (whole.first_day, whole.last_day) == ("0001-01-01", "0001-01-02")
    assert [(d.images, d.alarms) for d in alarm_rate_by_day(days, held, NO_DEFECTS)] == [(2, 1), (3, 1)]


@pytest.mark.parametrize(("alarms", "images"), [(0, 30), (7, 200), (30, 30)])
def test_the_interval_is_clopper_and_pearsons(alarms, images):
    scores = np.r_[np.full(alarms, 200.0), np.zeros(images - alarms)]
    rate = alarm_rate(window(np.ones(images), scores), baseline(np.arange(100), 0.05, 95.0), NO_DEFECTS)
    low = beta.ppf(0.025, alarms, images - alarms + 1) if alarms else 0.0
    high = beta.ppf(0.975, alarms + 1, images - alarms) if alarms < images else 1.0
    assert (rate.low, rate.high) == pytest.approx((low, high), abs=1e-9)


def test_without_defects_the_interval_is_the_beta_binomial():
    for n, k, m in [(100, 99, 500), (400, 397, 6000), (50, 46, 20)]:
        low, high = in_control_alarms(m, n, k, 0.0, 0.01)
        law = betabinom(m, n + 1 - k, k)
        assert (low, high) == (law.ppf(0.005), law.ppf(0.995))


@pytest.mark.parametrize("n", [30, 400])
def test_a_sound_process_seldom_leaves_the_interval_however_small_the_calibration(n):
    random = np.random.default_rng(n)
    verdicts, naive = [], []
    for _ in range(100):
        scores = random.normal(size=n)
        held = baseline(scores, 0.05, calibrate(scores, 0.05).value)
        rate = alarm_rate(window(np.ones(800), random.normal(size=800)), held, NO_DEFECTS)
        verdicts.append(rate.verdict)
        naive.append(rate.low <= 0.05 <= rate.high)
    assert np.mean(np.array(verdicts) != "within") < 0.04
    if n < 400:
        assert np.mean(naive) < 0.85  # the binomial interval alone would cry drift


def test_alarms_beyond_the_interval_are_told_each_way():
    scores = np.random.default_rng(4).normal(size=400)
    held = baseline(scores, 0.1, calibrate(scores, 0.1).value)
    shifted = {way: window(np.ones(1000), np.random.default_rng(5).normal(way, 1, 1000)) for way in (-1, 0, 1)}
    verdicts = {way: alarm_rate(w, held, NO_DEFECTS).verdict for way, w in shifted.items()}
    assert verdicts == {-1: "below", 0: "within", 1: "above"}


def test_the_ends_of_the_interval_are_within_it():
    held = baseline(np.arange(100), 0.2, 80.0)
    fewest, most = in_control_alarms(500, 100, 81, 0.0, 0.01)
    assert fewest > 0
    verdicts = [
        alarm_rate(window(np.ones(500), np.r_[np.full(k, 90), np.zeros(500 - k)]), held, NO_DEFECTS).verdict
        for k in (fewest - 1, fewest, most, most + 1)
    ]
    assert verdicts == ["below", "within", "within", "above"]


def test_ordinary_defects_raise_the_upper_end_only():
    random = np.random.default_rng(3)
    low, high = in_control_alarms(1000, 100, 96, 0.0, 0.01)
    low_with, high_with = in_control_alarms(1000, 100, 96, 0.05, 0.01)
    rates = random.beta(5, 96, 200_000)
    simulated = random.binomial(1000, rates) + random.binomial(1000, 0.05, 200_000)
    assert low_with == low
    assert high_with == pytest.approx(np.quantile(simulated, 0.995), abs=3)
    assert high_with > high


def test_more_than_all_images_never_alarm():
    assert in_control_alarms(3, 20, 19, 0.4, 0.001)[1] <= 3
    assert in_control_alarms(100_000, 1000, 990, 0.02, 0.01)[1] > binom.ppf(0.99, 100_000, 0.03)


def test_the_rank_is_where_the_threshold_lies():
    scores = np.arange(1.0, 101.0)
    ranks = [threshold_rank(baseline(scores, 0.05, value)) for value in (96.0, 96.5, 500.0, -1.0)]
    assert ranks == [96, 96, 100, 1]
