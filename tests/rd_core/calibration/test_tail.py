"""The tail's posterior, held against the same integrals by adaptive quadrature, and against known laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from rd_core.calibration.tail import quantiles, tail_size


@pytest.mark.parametrize(
    ("n", "expected"), [(2, 1), (3, 1), (10, 5), (39, 19), (40, 20), (99, 20), (110, 22), (400, 80), (5000, 100)]
)
def test_the_tail_is_a_fifth_of_the_scores_within_bounds(n, expected):
    assert tail_size(n) == expected


def share_below(ordered, alpha, limit):
    """P(quantile <= limit) from the density, integrated over scale by trapezoids, over shape and share by sums."""
    n, count = len(ordered), tail_size(len(ordered))
    start, excess = ordered[n - count - 1], ordered[n - count :] - ordered[n - count - 1]
    scales = np.exp(np.linspace(-4, 3, 800)) * excess.mean()
    shares = stats.beta(count + 1, n - count).ppf((np.arange(40) + 0.5) / 40)
    below = total = 0.0
    for shape in np.linspace(-0.57, 0.57, 20):  # none is 0
        each = 0.98 * stats.genpareto.pdf(excess, shape, scale=scales[:, None])
        density = (each + 0.02 * stats.expon.pdf(excess, scale=5 * excess.mean())).prod(axis=1) / scales
        mass = density * stats.norm.pdf(shape, 0, 0.2)
        reached = integrate.cumulative_trapezoid(mass, scales, initial=0)
        total += reached[-1]
        steps = stats.genpareto.isf(np.minimum(alpha / shares, 1), shape)
        with np.errstate(divide="ignore"):
            below += np.interp((limit - start) / steps, scales, reached).mean()
    return below / total


@pytest.mark.parametrize(("n", "alpha"), [(10, 0.05), (40, 0.01)])
def test_levels_are_those_of_the_posterior_by_quadrature(n, alpha):
    ordered = np.sort(np.random.default_rng(8).gumbel(size=n)) / 16
    levels = [0.01, 0.5, 0.97]
    for level, limit in zip(levels, quantiles(ordered, alpha, levels), strict=True):
        assert share_below(ordered, alpha, limit) == pytest.approx(level, abs=0.012)


def test_a_quantile_below_the_tail_is_its_start():
    ordered = np.linspace(-1, 1, 11)
    assert quantiles(ordered, 0.99, [0.5]) == ordered[5]


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=50).map(sorted), st.floats(1e-12, 0.4))
def test_quantiles_rise_with_the_level_and_lie_above_the_tails_start(scores, alpha):
    ordered = np.array(scores)
    found = quantiles(ordered, alpha, [0.01, 0.3, 0.5, 0.9, 0.999])
    assert np.isfinite(found).all()
    assert (np.diff(found) >= 0).all()
    assert found[0] >= ordered[len(ordered) - tail_size(len(ordered)) - 1]


@pytest.mark.parametrize(
    ("law", "n", "rates", "heights"),
    [
        (stats.norm(), 40, (0.3, 0.9), (1.1, 1.25)),
        (stats.t(4), 40, (1.1, 1.6), (0.95, 1.15)),
        (stats.beta(2, 3), 20, (0.1, 0.5), (1.3, 1.5)),
    ],
    ids=["normal", "heavy", "bounded"],
)
def test_few_scores_keep_the_goals_under_laws_far_from_the_prior(law, n, rates, heights):
    """The hardest of proofs.few_normals. Rates are in alphas; a height of 1 is the true quantile."""
    draws = np.sort(law.rvs(size=(120, n), random_state=np.random.default_rng(2)), axis=1)
    low, value, high = np.array([quantiles(drawn / 32, 0.01, [0.01, 0.5, 0.97]) for drawn in draws]).T * 32
    truth, middle = law.isf(0.01), law.isf(0.5)
    assert np.mean((low <= truth) & (truth <= high)) >= 0.92
    assert rates[0] <= law.sf(value).mean() / 0.01 <= rates[1]
    assert heights[0] <= (value.mean() - middle) / (truth - middle) <= heights[1]


def test_a_score_far_above_the_others_raises_the_quantile_little():
    draw = np.random.default_rng(9).gumbel
    clean = [np.sort(draw(size=40)) / 100 for _ in range(100)]
    misled = [np.append(scores[1:], 0.12) for scores in clean]  # gumbel's own 0.99 quantile is 0.046
    heights = [np.mean([quantiles(scores, 0.01, [0.5])[0] for scores in some]) for some in (clean, misled)]
    assert heights[1] < 1.3 * heights[0]  # 1.7 times if no score could be a wrong label
