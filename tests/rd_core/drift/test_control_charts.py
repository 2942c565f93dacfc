import numpy as np
import pytest
from scipy.stats import beta, betabinom, binom, kstest, norm

from rd_core.calibration.threshold import calibrate
from rd_core.drift.control_charts import control_charts
from rd_core.drift.run_length import cusum_limit, ewma_limit
from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import Baseline, baseline, window

SETTINGS = DriftSettings(day_to_day=0.0)


def held(random, n, alpha=0.05) -> Baseline:
    scores = random.gamma(4, size=n)
    return baseline(scores, alpha, calibrate(scores, alpha).value)


def month(random, days, images, added=0.0, since=0):
    """Each day's normal scores, those from day `since` on higher."""
    scores = [random.gamma(4, size=images) + added * (day >= since) for day in range(days)]
    return window(np.repeat(np.arange(1, days + 1), images), np.concatenate(scores))


@pytest.mark.parametrize("n", [20, 100])
def test_residuals_of_a_sound_process_are_standard_normal_and_independent(n):
    """Although all days of a month share one calibration, which is what a plain chart would take for drift."""
    random = np.random.default_rng(n)
    settings = DriftSettings(day_to_day=0.0, defect_share=0.0)
    months = [control_charts(month(random, 6, 100), held(random, n), settings) for _ in range(70)]
    bulk, alarms = (np.array([charts[i].residuals for charts in months]) for i in (0, 2))
    assert kstest(bulk.ravel(), norm.cdf).pvalue > 0.001
    assert bulk.std(axis=0) == pytest.approx(np.ones(6), abs=0.35)
    assert alarms.std() == pytest.approx(1, abs=0.13)
    for residuals in (bulk, alarms):
        between = np.corrcoef(residuals, rowvar=False)[np.triu_indices(6, 1)]
        assert np.mean(between) == pytest.approx(0, abs=0.08)


def test_the_charts_are_the_textbooks_recursions_of_the_residuals():
    random = np.random.default_rng(1)
    charts = control_charts(month(random, 12, 50), held(random, 60), DriftSettings(ewma_weight=0.25))
    average, total, alarm_total = charts
    smooth, upper, alarms = 0.0, 0.0, 0.0
    for day in range(12):
        smooth = 0.75 * smooth + 0.25 * average.residuals[day]
        upper = max(0.0, upper + total.residuals[day] - 0.5)
        alarms = max(0.0, alarms + alarm_total.residuals[day] - 0.5)
        assert (average.values[day], total.values[day]) == pytest.approx((smooth, upper))
        assert alarm_total.values[day] == pytest.approx(alarms)
    assert average.limit == pytest.approx(ewma_limit(0.25, 2000) * np.sqrt(0.25 / 1.75))
    assert total.limit == alarm_total.limit == cusum_limit(0.5, 2000)
    assert {c.run_length_days for c in charts} == {2000}


def test_the_first_days_alarms_are_told_by_the_beta_binomial():
    scores = np.arange(100.0)
    before = baseline(scores, 0.1, 89.0)  # the 90th of 100
    day = window(np.ones(50), np.r_[np.full(12, 95.0), np.zeros(38)])
    law = betabinom(50, 11, 90)
    charts = control_charts(day, before, DriftSettings(defect_share=0.0))
    assert charts[2].residuals[0] == pytest.approx(norm.isf(law.sf(12) + law.pmf(12) / 2))


def test_ordinary_defects_widen_what_is_expected():
    before = baseline(np.arange(100.0), 0.1, 89.0)
    random = np.random.default_rng(2)
    rates = beta.rvs(11, 90, size=100_000, random_state=random)
    rates += (1 - rates) * random.uniform(0, 0.2, 100_000)
    alarms = binom.rvs(50, rates, random_state=random)
    day = window(np.ones(50), np.r_[np.full(16, 95.0), np.zeros(34)])
    expected = norm.isf(np.mean(alarms > 16) + np.mean(alarms == 16) / 2)
    result = control_charts(day, before, DriftSettings(defect_share=0.2))[2].residuals[0]
    assert result == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("added", [1.0, -1.0])
def test_a_lasting_shift_is_found_and_dated(added):
    random = np.random.default_rng(3)
    average, total, _ = control_charts(month(random, 20, 200, added, since=10), held(random, 200), SETTINGS)
    assert average.signalled[-1]
    assert not any(average.signalled[:10])
    assert average.signalled[12]
    assert average.out_since == "0001-01-11"
    assert any(total.signalled) == (added > 0)


def test_nothing_is_learned_while_out_so_the_signal_stays():
    random = np.random.default_rng(4)
    average, total, _ = control_charts(month(random, 60, 200, 1.0, since=10), held(random, 200), SETTINGS)
    assert all(average.signalled[13:])
    assert all(total.signalled[13:])
    assert np.mean(average.residuals[50:]) == pytest.approx(np.mean(average.residuals[15:25]), abs=1.0)


def test_a_bad_day_teaches_no_more_than_a_day_two_deviations_out():
    """Without it the ordinary days after a bad one would look low."""
    random = np.random.default_rng(5)
    before = held(random, 200)
    ordinary = [random.gamma(4, size=200) for _ in range(8)]
    days = np.repeat(np.arange(1, 9), 200)
    charts = [
        control_charts(
            window(days, np.concatenate([*ordinary[:3], ordinary[3] + added, *ordinary[4:]])), before, SETTINGS
        )
        for added in (0.2, 0.5)
    ]
    bad = [average.residuals[3] for average, _, _ in charts]
    assert 2 < bad[0] < bad[1] - 0.5
    assert not any(chart.signalled[3] for result in charts for chart in result[:2])
    assert charts[0][0].residuals[4:] == pytest.approx(charts[1][0].residuals[4:])


def test_more_alarms_with_steady_bulk_sound_the_alarm_chart_alone():
    random = np.random.default_rng(6)
    scores = [random.gamma(4, size=200) for _ in range(16)]
    for day in scores[10:]:
        day[:14] += 30
    average, total, alarms = control_charts(
        window(np.repeat(np.arange(1, 17), 200), np.concatenate(scores)), held(random, 400, 0.02), SETTINGS
    )
    assert alarms.out_since == "0001-01-11"
    assert average.out_since is None
    assert total.out_since is None


def test_in_control_alarms_come_as_seldom_as_stated():
    """Share of 12-day windows with a signal of the moving average, for a stated run length of 50 days."""
    random = np.random.default_rng(7)
    settings = DriftSettings(run_length_days=50, day_to_day=0.0, defect_share=0.0)
    months = [control_charts(month(random, 12, 50), held(random, 50), settings)[0] for _ in range(80)]
    assert np.mean([any(chart.signalled) for chart in months]) == pytest.approx(1 - np.exp(-12 / 50), abs=0.12)


def test_ties_count_half():
    before = baseline(np.repeat([1.0, 2.0], 50), 0.1, 2.0)
    same = window(np.ones(100), np.repeat([1.0, 2.0], 50))
    assert control_charts(same, before, DriftSettings(defect_share=0.0))[0].residuals[0] == pytest.approx(0, abs=1e-9)
