import json
import math
from dataclasses import asdict
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rd_core.calibration.tail import quantiles
from rd_core.calibration.threshold import (
    ACCEPT,
    REJECT,
    REVIEW,
    calibrate,
    conformal_p_values,
    normals_needed,
    proven_rate,
    triage,
)
from rd_core.errors import ConfigError, TooFewNormals
from tests.examples import FINITE


@pytest.mark.parametrize(
    ("n", "alpha", "rank"), [(99, 0.05, 95), (99, 0.01, 99), (19, 0.05, 19), (100, 0.05, 96), (99, 0.29, 71)]
)
def test_the_threshold_is_the_conformal_order_statistic(n, alpha, rank):
    scores = np.random.default_rng(0).permutation(np.arange(1, n + 1))
    threshold = calibrate(scores, alpha)
    assert threshold.value == rank
    assert not threshold.extrapolated
    assert threshold.smallest_honest_alpha == pytest.approx(1 / (n + 1))


@pytest.mark.parametrize(
    ("n", "alpha", "law"),
    [(99, 0.02, "normal"), (30, 0.07, "lognormal")],
)
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
    # The largest of 100 scores alone would give 0.0099; the heavy lognormal law passes in part for wrong labels.
    assert 0.0005 < rate < 0.008


def test_an_extrapolated_threshold_may_leave_the_largest_score_above_but_not_the_second():
    """One wrong label among the normals must not hide the defects; two cannot be told from a heavy tail."""
    scores = np.linspace(0, 1, 40)
    one, two = calibrate([*scores, 50.0], 0.01), calibrate([*scores, 50.0, 50.0], 0.01)
    assert one.extrapolated and two.extrapolated
    assert 1 < one.value < 5
    assert two.value >= 50
    assert two.low < two.value <= two.high
    proven = calibrate([*np.linspace(0, 1, 98), 50.0], 0.01)
    assert (proven.value, proven.high) == (50, 50)


def test_an_extrapolated_threshold_is_the_median_of_the_tails_posterior_and_its_interval_is_nearly_all_of_it():
    scores = np.random.default_rng(9).gumbel(size=40)
    threshold = calibrate(scores, 0.01)
    found = 16 * quantiles(np.sort(scores) / 16, 0.01, [0.01, 0.5, 0.97])
    assert (threshold.low, threshold.value, threshold.high) == pytest.approx(tuple(found))
    near = calibrate(scores, 0.05)
    assert near.high == pytest.approx(16 * quantiles(np.sort(scores) / 16, 0.05, [0.97])[0])


@pytest.mark.parametrize(("n", "alpha"), [(100, 0.1), (400, 0.01), (60, 0.2), (2, 0.5)])
def test_an_exact_interval_has_the_ranks_of_the_binomial_law(n, alpha):
    """95 % lie between them: the lowest rank that at most 2.5 % stay below, the highest that at most 2.5 % reach."""
    threshold = calibrate(np.arange(1, n + 1), alpha)
    below = list(accumulate((math.comb(n, j) * (1 - alpha) ** j * alpha ** (n - j) for j in range(n + 1)), initial=0))
    assert threshold.low == max(1, next(k for k in range(n + 1) if below[k + 1] >= 0.025))
    highest = next(k for k in range(n + 1) if below[k + 1] >= 0.975) + 1
    if highest <= n:
        assert (threshold.high, threshold.interval) == (highest, "order statistics")
    else:
        assert threshold.interval == "order statistics and tail posterior"


def test_a_smaller_alpha_never_lowers_the_threshold_within_what_is_proven_or_is_extrapolated():
    scores = np.random.default_rng(3).gamma(2.0, size=60)
    for alphas in ((0.3, 0.1, 0.03, 0.017), (0.016, 0.01, 0.003, 0.001)):
        values = [calibrate(scores, alpha).value for alpha in alphas]
        assert values == sorted(values)


@pytest.mark.parametrize("n", [9, 20, 60])
def test_only_an_alpha_that_the_ranks_reach_needs_no_tail(n):
    scores = np.arange(n)
    at, below = calibrate(scores, 1 / (n + 1)), calibrate(scores, 0.999 / (n + 1))
    assert (at.value, at.extrapolated, below.extrapolated) == (n - 1, False, True)
    assert at.interval == "order statistics and tail posterior"
    assert below.interval == "tail posterior"


def test_without_extrapolation_an_alpha_that_is_not_proven_is_refused_with_the_ways_out():
    scores = np.arange(40.0)
    with pytest.raises(TooFewNormals, match=r"below 1 / 41, .*alpha 0\.01 .*Hold out 99, set alpha to 0\.025, or"):
        calibrate(scores, 0.01, extrapolate=False)
    assert calibrate(scores, 0.025, extrapolate=False) == calibrate(scores, 0.025)
    assert calibrate(np.arange(99.0), 0.01, extrapolate=False).value == 98


@given(st.integers(2, 5000))
def test_the_alpha_named_when_refused_is_proven_and_little_larger_than_needed(n):
    with pytest.raises(TooFewNormals) as refused:
        calibrate(np.arange(n), 0.9 / (n + 1), extrapolate=False)
    named = float(str(refused.value).split("set alpha to ")[1].split(",")[0])
    assert 1 / (n + 1) <= named <= 1.1 / (n + 1) + 1e-12
    assert normals_needed(named) <= n


@pytest.mark.parametrize(("alpha", "needed"), [(0.01, 99), (0.05, 19), (0.003, 333), (0.5, 1), (0.0001, 9999)])
def test_so_many_normals_prove_alpha_and_one_less_does_not(alpha, needed):
    assert normals_needed(alpha) == needed
    assert proven_rate([1] * needed, alpha) == alpha
    assert proven_rate([1] * (needed - 1), alpha) == min(1, 2 / needed)


def test_cross_fitted_scores_prove_half_as_much_less_what_folds_cost():
    def proven(n, folds):
        return proven_rate([1] * n, 0.01, cross=True, folds=folds)

    assert proven(99, None) == 0.02
    assert proven(40, None) == pytest.approx(4 / 41)
    # Barber et al. 2021, theorem 4: the smaller of 2 (1 - 1/K) / (n/K + 1) and (1 - K/n) / (K + 1)
    assert proven(100, 5) == pytest.approx(0.02 + 1.6 / 21)
    assert proven(100, 50) == pytest.approx(0.02 + 0.5 / 51)
    assert proven(100, 100) == 0.02
    assert proven(3, 3) == 1


@given(st.lists(st.integers(1, 9), min_size=3, max_size=300), st.floats(0.001, 0.3), st.integers(2, 20))
def test_folds_prove_less_than_parts_left_out_and_those_less_than_images_apart(parts, alpha, folds):
    apart, left_out, by_folds = (
        proven_rate(parts, alpha),
        proven_rate(parts, alpha, cross=True),
        proven_rate(parts, alpha, cross=True, folds=min(folds, len(parts))),
    )
    assert alpha <= apart <= left_out <= by_folds <= 1
    # the same theorem's simpler bound
    assert by_folds <= 2 * apart + np.sqrt(2 / len(parts))
    assert apart >= proven_rate([1] * sum(parts), alpha), "more images of a part are no further proof"


def test_parts_prove_and_not_their_images():
    assert proven_rate([1] * 100, 0.01) == 0.01
    assert proven_rate([30], 0.01) == 1 / 2 + 1 / 60  # the second largest score: one of 30 may lie above
    assert proven_rate([30], 0.1) == (1 + 2 / 30) / 2
    assert proven_rate([6] * 20, 0.01) == 1 / 21  # the largest of 120
    assert proven_rate([1, 1, 1, 97], 0.03) == 3 / 5  # both of those above may be all images of their parts


@pytest.mark.parametrize(("sizes", "alpha"), [((1, 12), 0.1), ((4, 4), 0.05), ((6, 6), 0.2), ((1, 3), 0.02)])
def test_what_parts_prove_holds_where_images_of_a_part_resemble_each_other(sizes, alpha):
    """So much that each part has one score, which is the worst there is."""
    random = np.random.default_rng(3)
    rates, proven = [], []
    for _ in range(600):
        counts = random.choice(sizes, 20)
        scores = np.repeat(random.random(20), counts)
        rates.append(1 - calibrate(scores, alpha).value)  # of new parts
        proven.append(proven_rate(counts, alpha))
    assert np.mean(rates) <= np.mean(proven) + 4 * np.std(rates) / np.sqrt(len(rates))


@pytest.mark.parametrize(
    ("n", "alpha", "how"), [(400, 0.1, "order statistics"), (60, 0.05, "order statistics and tail posterior")]
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


@pytest.mark.parametrize("alpha", [0.005, 0.05])
@given(st.integers(0, 99), st.sampled_from([2.0**-900, 1e-3, 7.0, 2.0**900]), st.sampled_from([0.0, -3.0, 50.0]))
def test_a_threshold_moves_with_the_scores_unit_and_zero(alpha, seed, unit, zero):
    scores = np.random.default_rng(seed).gamma(2.0, size=40)
    plain, moved = calibrate(scores, alpha), calibrate((scores + zero) * unit, alpha)
    for end in ("value", "low", "high"):
        assert getattr(moved, end) / unit - zero == pytest.approx(getattr(plain, end), rel=1e-6)


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
