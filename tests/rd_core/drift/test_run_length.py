import numpy as np
import pytest

from rd_core.drift.run_length import cusum_limit, cusum_run_length, ewma_limit, ewma_run_length


def mean_days_to_a_false_alarm(step, beyond, charts=3000, days=1500):
    random = np.random.default_rng(0)
    value, alive, total = np.zeros(charts), np.ones(charts, dtype=bool), np.zeros(charts)
    for _ in range(days):
        total += alive
        value = step(value, random.normal(size=charts))
        alive &= ~beyond(value)
    assert not alive.any()
    return total.mean()


def test_published_run_lengths():
    assert cusum_run_length(0.5, 4) == pytest.approx(336, rel=0.01)  # one-sided: twice 168 (Lucas and Crosier 1982)
    assert cusum_run_length(0.5, 5) == pytest.approx(930, rel=0.01)  # twice 465
    assert ewma_run_length(0.25, 2.998) == pytest.approx(500, rel=0.01)  # Lucas and Saccucci 1990
    assert ewma_run_length(1.0, 3) == pytest.approx(370.4, rel=0.001)  # Shewhart's chart


@pytest.mark.parametrize("run_length", [60])
def test_simulated_charts_keep_the_run_length(run_length):
    h = cusum_limit(0.5, run_length)
    days = mean_days_to_a_false_alarm(lambda v, z: np.maximum(0, v + z - 0.5), lambda v: v > h)
    assert days == pytest.approx(run_length, rel=0.08)
    bound = ewma_limit(0.3, run_length) * np.sqrt(0.3 / 1.7)
    days = mean_days_to_a_false_alarm(lambda v, z: 0.7 * v + 0.3 * z, lambda v: abs(v) > bound)
    assert days == pytest.approx(run_length, rel=0.08)


@pytest.mark.parametrize(("setting", "run_length"), [(0.05, 20), (0.05, 1e6), (0.5, 370), (1.0, 20), (1.0, 1e6)])
def test_every_allowed_setting_has_its_limit(setting, run_length):
    assert cusum_run_length(setting, cusum_limit(setting, run_length)) == pytest.approx(run_length, rel=0.01)
    assert ewma_run_length(setting, ewma_limit(setting, run_length)) == pytest.approx(run_length, rel=0.01)
