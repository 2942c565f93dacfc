from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp, wasserstein_distance

from rd_core.drift.distances import distances
from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import baseline, window
from tests.examples import examples

QUICK = DriftSettings(resamples=40)


def distances_by_name(scores, held, settings=QUICK):
    compared = distances(window(np.ones(len(scores)), scores), baseline(held, 0.1, max(held)), settings)
    return {d.name: d for d in compared}


def population_stability(scores, held):
    """One bin after the other."""
    edges = [-np.inf, *np.quantile(held, np.arange(1, 10) / 10), np.inf]
    total = 0.0
    for low, high in pairwise(edges):
        old = (np.sum((held > low) & (held <= high)) + 0.5) / (len(held) + 5)
        new = (np.sum((scores > low) & (scores <= high)) + 0.5) / (len(scores) + 5)
        total += (new - old) * np.log(new / old)
    return total


@examples(25)
@given(
    st.lists(st.integers(0, 40), min_size=10, max_size=60).filter(lambda s: np.ptp(np.quantile(s, [0.25, 0.75])) > 0),
    st.lists(st.integers(-10, 60), min_size=1, max_size=60),
)
def test_effect_sizes_are_those_of_scipy_and_numpy(held, scores):
    held, scores = np.array(held, dtype=float), np.array(scores, dtype=float)
    compared = distances_by_name(scores, held, DriftSettings(resamples=20))
    unit = np.ptp(np.quantile(held, [0.25, 0.75]))
    assert compared["kolmogorov_smirnov"].value == pytest.approx(ks_2samp(scores, held, method="asymp").statistic)
    assert compared["wasserstein"].value == pytest.approx(wasserstein_distance(scores, held) / unit)
    assert compared["population_stability"].value == pytest.approx(population_stability(scores, held))
    for level in (0.5, 0.9, 0.95, 0.99):
        new, old = (np.quantile(s, level, method="inverted_cdf") for s in (scores, held))
        assert compared[f"quantile_{level:g}"].value == pytest.approx((new - old) / unit)


@pytest.mark.parametrize(("n", "m", "defects"), [(50, 2000, 0), (200, 200, 0.02)])
def test_p_values_of_sound_windows_are_seldom_small(n, m, defects):
    random = np.random.default_rng(n)
    small = []
    for _ in range(60):
        scores = random.gamma(4, size=m)
        scores[: int(defects * m)] += 10
        small.append([d.p_value <= 0.1 for d in distances_by_name(scores, random.gamma(4, size=n)).values()])
    assert (np.mean(small, axis=0) < 0.22).all()  # 0.1, and three standard errors of 60 windows


def test_a_shift_of_all_scores_is_far_outside_the_band():
    random = np.random.default_rng(1)
    compared = distances_by_name(random.normal(1, 1, 1000), random.normal(size=300))
    for name, distance in compared.items():
        assert distance.p_value <= 1 / 41
        assert distance.value > distance.null_high or name == "quantile_0.99"  # defects might reach as far
    assert compared["quantile_0.5"].value == pytest.approx(1 / 1.35, abs=0.15)


def test_a_heavier_tail_alone_moves_the_tail_alone():
    random = np.random.default_rng(2)
    scores = random.normal(size=3000)
    scores[:240] += 6
    compared = distances_by_name(scores, random.normal(size=400))
    assert abs(compared["quantile_0.5"].value) < 0.2
    assert compared["quantile_0.5"].p_value > 0.05
    assert compared["quantile_0.95"].value > compared["quantile_0.95"].null_high
    assert max(compared["quantile_0.95"].p_value, compared["quantile_0.99"].p_value) < 0.005


def test_the_band_is_wide_for_a_small_calibration():
    random = np.random.default_rng(3)
    scores = random.normal(size=5000)
    small, large = (
        distances_by_name(scores, random.normal(size=n))["kolmogorov_smirnov"].null_high for n in (50, 500)
    )
    assert small == pytest.approx(1.36 / np.sqrt(50), rel=0.3)  # Kolmogorov's 95 % point
    assert large == pytest.approx(1.36 / np.sqrt(500), rel=0.3)


def test_the_same_window_gives_the_same_figures():
    random = np.random.default_rng(4)
    scores, held = random.normal(size=300), random.normal(size=50)
    assert distances_by_name(scores, held) == distances_by_name(scores, held)
    other = distances_by_name(scores, held, DriftSettings(resamples=40, seed=1))
    assert other["wasserstein"].null_high != distances_by_name(scores, held)["wasserstein"].null_high


def test_equal_scores_do_not_divide_by_nothing():
    compared = distances_by_name(np.full(20, 2.0), np.full(20, 2.0))
    assert all(d.value == 0 and d.p_value > 0.5 for d in compared.values())
    assert all(np.isfinite([d.null_low, d.null_high]).all() for d in compared.values())
