import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proofs.drift_delay import CHANGES, Change, Line, Simulation, nights, outcome
from rd_core.calibration.threshold import calibrate
from rd_core.drift.assessment import assess
from rd_core.drift.daily_medians import daily_medians
from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import baseline, window
from tests.examples import FINITE, examples

QUICK = DriftSettings(resamples=20)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_told_within_days_by_its_right_name(name):
    result = [outcome(Simulation(Line(calibration=200), CHANGES[name]), seed, QUICK) for seed in range(2)]
    assert not any(o.early for o in result)
    assert all(o.delay is not None and o.delay <= 5 for o in result)
    assert np.median([o.delay for o in result]) <= 3
    right = [o.verdict == CHANGES[name].verdict and o.cause == CHANGES[name].cause for o in result]
    assert all(right)


@pytest.mark.parametrize("calibration", [30, 400])
def test_quiet_months_are_quiet(calibration):
    for seed in range(3):
        late = nights(Simulation(Line(images=60, calibration=calibration)), seed, QUICK, first=28)
        assert [result.verdict.action for _, result in late] == ["hold"] * 3


@examples(40)
@given(
    st.lists(st.tuples(st.integers(1, 4), FINITE, FINITE | st.just(np.nan)), min_size=1, max_size=20),
    st.lists(st.tuples(FINITE, FINITE), min_size=10, max_size=20),
    st.lists(st.tuples(FINITE, st.floats()), max_size=3),
)
@example([(1, 1e6, np.nan)], [(0.0, 0.0)] * 5 + [(2.2e-309, 2.2e-309)] * 5, [(0.0, 1e308)])
@example([(1, 1.7e308, -1.7e308)] * 12, [(-1.7e308, 1.7e308)] * 6 + [(1.7e308, -1.7e308)] * 6, [(0.0, np.inf)])
@example([(1, 0.5, 0.5)], [(0.5, 0.5)] * 9 + [(np.nextafter(0.5, 1), np.nextafter(0.5, 1))], [])
def test_whatever_the_figures_the_assessments_are_finite(images, normals, golden):
    days, scores, statistics = zip(*images, strict=True)
    held, of_held = (np.array(v) for v in zip(*normals, strict=True))
    before, now = zip(*golden, strict=True) if golden else ((), ())
    recent = window(days, scores, {"brightness": statistics, "feature_distance": statistics}, now)
    of_old = baseline(held, 0.1, calibrate(held, 0.1).value, dict.fromkeys(recent.statistics, of_held), before)
    assessment = assess(recent, of_old, QUICK)
    plain = json.dumps(asdict(assessment), allow_nan=False)
    medians = daily_medians(recent, of_old, QUICK)
    assert json.dumps([asdict(one) for one in medians], allow_nan=False) and plain


def last_night(change):
    *_, (_, result) = nights(Simulation(Line(images=100), change), 0, DriftSettings(resamples=50), 30)
    return result


def test_an_assessment_fits_into_json():
    result = last_night(CHANGES["light"])
    plain = json.loads(json.dumps(asdict(result), allow_nan=False))
    assert plain["verdict"]["action"] == "retrain"
    assert plain["causes"][0]["name"] == "light or camera"
    assert plain["settings"]["resamples"] == 50
    assert len(plain["charts"][0]["values"]) == len(plain["alarm_rate_by_day"]) == 30


def test_recent_figures_begin_with_the_change():
    result = last_night(CHANGES["misalignment"])
    assert result.changed_since == result.charts[0].days[9]
    assert result.recent_alarm_rate.first_day == result.changed_since
    assert (result.recent_alarm_rate.images, result.alarm_rate.images, result.images) == (2100, 3000, 3000)
    shifts = {s.name: s.shift for s in result.shifts}
    assert shifts["feature_distance"] == pytest.approx(1.2, abs=0.2)  # 0.84 over the whole window
    assert shifts["score"] == pytest.approx(1.0, abs=0.3)
    assert result.recalibration.threshold.n + result.recalibration.left_out == 2100


def test_without_a_change_they_are_of_the_whole_window():
    result = last_night(Change())
    assert result.verdict.action == "hold"
    assert result.changed_since is None
    assert result.recent_alarm_rate == result.alarm_rate
    assert result.p_value == next(d.p_value for d in result.distances if d.name == "kolmogorov_smirnov") > 0.01


def test_a_change_older_than_the_window_is_told_from_the_calibration():
    random = np.random.default_rng(1)
    scores = random.gamma(4, size=400)
    before = baseline(scores, 0.05, calibrate(scores, 0.05).value)
    days = np.repeat(np.arange(1, 11), 100)
    higher = assess(window(days, random.gamma(4, size=1000) + 1.2), before)
    assert higher.verdict.action == "recalibrate"
    assert {"score shift"} <= {r.finding for r in higher.verdict.reasons}
    assert higher.p_value < 0.01
    lower = assess(window(days, random.gamma(4, size=1000) / 2), before)
    assert lower.alarm_rate.verdict == "below"
    assert lower.verdict.action != "hold"


def test_feature_distance_is_judged_on_images_without_an_alarm():
    random = np.random.default_rng(2)
    scores, features = random.normal(size=200), random.normal(size=200)
    before = baseline(scores, 0.05, 3.0, {"feature_distance": features})
    alarms = np.r_[np.full(60, 9.0), random.normal(size=40)]
    distance = np.r_[np.full(60, 8.0), random.normal(size=40)]
    shown = assess(window(np.ones(100), alarms, {"feature_distance": distance}), before, QUICK)
    assert abs(next(s.shift for s in shown.shifts if s.name == "feature_distance")) < 1
    alarms[60:] = 9.0
    all_alarms = assess(window(np.ones(100), alarms, {"feature_distance": distance}), before, QUICK)
    assert next(s.shift for s in all_alarms.shifts if s.name == "feature_distance") > 5


def test_statistics_the_calibration_lacks_are_left_out():
    before = baseline(np.arange(50.0), 0.1, 45.0, {"brightness": np.arange(50.0)})
    assessment = assess(
        window([1, 1], [1.0, 2.0], {"sharpness": [1.0, 2.0], "brightness": [25.0, np.nan]}), before, QUICK
    )
    assert [s.name for s in assessment.shifts] == ["score", "brightness"]


@pytest.mark.parametrize("images", [1, 2, 5])
def test_a_window_of_few_images_is_held_and_fits_into_json(images):
    before = baseline(np.arange(50.0), 0.1, 45.0)
    assessment = assess(window(np.ones(images), np.full(images, 30.0)), before, QUICK)
    assert assessment.verdict.action == "hold"
    json.dumps(asdict(assessment), allow_nan=False)


def test_equal_scores_everywhere_are_no_drift():
    assessment = assess(window(np.ones(30), np.full(30, 2.0)), baseline(np.full(20, 2.0), 0.1, 2.0), QUICK)
    assert assessment.verdict.action == "hold"
    json.dumps(asdict(assessment), allow_nan=False)
