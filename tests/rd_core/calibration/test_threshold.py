import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rd_core.calibration.threshold import ACCEPT, REJECT, REVIEW, calibrate, conformal_p_values, triage
from rd_core.errors import ConfigError, TooFewNormals
from tests.examples import FINITE


@pytest.mark.parametrize(("n", "alpha", "rank"), [(99, 0.05, 95), (99, 0.01, 99), (19, 0.05, 19), (100, 0.05, 96)])
def test_the_threshold_is_the_conformal_order_statistic(n, alpha, rank):
    scores = np.random.default_rng(0).permutation(np.arange(1, n + 1))
    threshold = calibrate(scores, alpha)
    assert threshold.value == rank
    assert not threshold.extrapolated
    assert threshold.smallest_honest_alpha == pytest.approx(1 / (n + 1))


@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (40, 0.1), (99, 0.02), (30, 0.07)])
@pytest.mark.parametrize("law", ["normal", "lognormal"])
def test_the_false_alarm_rate_keeps_its_promise(n, alpha, law):
    """Over many calibrations the mean rate is at most alpha, and not much below what the ranks allow."""
    draw = getattr(np.random.default_rng(1), law)
    rates = [np.mean(draw(size=400) > calibrate(draw(size=n), alpha).value) for _ in range(400)]
    reachable = np.floor((n + 1) * alpha + 1e-9) / (n + 1)
    noise = 4 * np.std(rates) / np.sqrt(len(rates))
    assert np.mean(rates) == pytest.approx(reachable, abs=noise)
    assert reachable <= alpha


@pytest.mark.parametrize("law", ["exponential", "normal", "lognormal"])
def test_an_extrapolated_threshold_comes_near_its_rate(law):
    draw = getattr(np.random.default_rng(2), law)
    result = [calibrate(draw(size=100), 0.002) for _ in range(200)]
    assert all(t.extrapolated for t in result)
    sample = draw(size=200_000)
    rate = np.mean([np.mean(sample > t.value) for t in result])
    assert 0.0005 < rate < 0.006  # the largest of 100 scores alone would give 0.0099


def test_an_extrapolated_threshold_is_never_below_the_largest_score():
    scores = np.r_[np.linspace(0, 1, 30), 50.0]
    threshold = calibrate(scores, 0.03)
    assert threshold.extrapolated
    assert threshold.value >= 50


def test_a_smaller_alpha_never_lowers_the_threshold():
    scores = np.random.default_rng(3).gamma(2.0, size=60)
    values = [calibrate(scores, alpha).value for alpha in (0.3, 0.1, 0.03, 0.017, 0.016, 0.01, 0.003, 0.001)]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("n", "alpha", "how"), [(400, 0.1, "order statistics"), (60, 0.05, "order statistics and tail")]
)
def test_the_interval_covers_the_true_quantile(n, alpha, how):
    random = np.random.default_rng(4)
    truth = -np.log(alpha)  # of the exponential law
    result = [calibrate(random.exponential(size=n), alpha) for _ in range(300)]
    assert {t.interval for t in result} == {how}
    assert np.mean([t.low <= truth <= t.high for t in result]) > 0.92


@given(st.lists(FINITE, min_size=2, max_size=60), st.floats(1e-12, 0.6))
@example([1.7e308, -1.7e308], 0.01)
@example([0.0] * 19 + [5e-324], 0.001)
def test_a_threshold_lies_in_its_interval_and_fits_into_json(scores, alpha):
    threshold = calibrate(scores, alpha)
    assert threshold.low <= threshold.value <= threshold.high
    assert json.loads(json.dumps(asdict(threshold), allow_nan=False)) == asdict(threshold)


def test_equal_scores_extrapolate_to_themselves():
    threshold = calibrate([2.5] * 20, 0.001)
    assert threshold.value == pytest.approx(2.5)


def test_a_threshold_moves_with_the_scores_unit():
    scores = np.random.default_rng(7).gamma(2.0, size=40)
    small, large = (calibrate(scores * unit, 0.005) for unit in (2.0**-60, 2.0**600))
    for end in ("value", "low", "high"):
        assert getattr(small, end) * 2.0**60 == pytest.approx(getattr(large, end) * 2.0**-600)


def test_p_values_count_the_scores_at_least_as_high():
    assert conformal_p_values([0.0, 2.0, 2.5, 9.0], [3.0, 1.0, 2.0]).tolist() == [1.0, 0.75, 0.5, 0.25]


def test_p_values_of_normals_are_valid():
    random = np.random.default_rng(5)
    values = np.concatenate([conformal_p_values(random.normal(size=50), random.normal(size=39)) for _ in range(2000)])
    for level in (0.025, 0.1, 0.5):
        assert np.mean(values <= level) == pytest.approx(level, abs=0.012)


def test_a_score_that_is_no_number_has_no_p_value():
    assert np.isnan(conformal_p_values([np.nan], [1.0, 2.0])).all()


def test_deciding_by_p_value_and_by_threshold_agree():
    random = np.random.default_rng(6)
    held, new = random.normal(size=39), random.normal(size=500)
    assert ((new > calibrate(held, 0.1).value) == (conformal_p_values(new, held) <= 0.1)).all()


def test_what_sets_no_threshold_is_refused():
    with pytest.raises(TooFewNormals, match="at least 2"):
        calibrate([1.0], 0.1)
    with pytest.raises(ConfigError, match=r"alpha 1\.5"):
        calibrate([1.0, 2.0], 1.5)
    with pytest.raises(ValueError, match="1 of 3 scores are not finite"):
        calibrate([1.0, np.nan, 2.0], 0.1)


def test_the_band_divides_the_scores_in_three_and_its_ends_belong_below():
    assert triage([0.9, 1.0, 1.5, 2.0, 2.1], 1.0, 2.0).tolist() == [ACCEPT, ACCEPT, REVIEW, REVIEW, REJECT]


@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_the_true_quantile_lies_in_the_review_band_as_often_as_promised(alpha):
    """What is rejected is then surely beyond the promised share, what is accepted surely within."""
    draw = np.random.default_rng(3).normal
    quantile = np.quantile(draw(size=1_000_000), 1 - alpha)
    bands = [calibrate(draw(size=200), alpha) for _ in range(400)]
    within = [triage([quantile], band.low, band.high)[0] == REVIEW for band in bands]
    assert np.mean(within) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / len(bands))
