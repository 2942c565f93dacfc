"""The best of the thresholds that a setting can reach, beside a plain loop and the truth of simulations."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from rd_core.calibration.goals import Costs, WantedRecall
from rd_core.calibration.reachable import Reachable, reachable
from rd_core.calibration.recommendation import FEWEST_PARTS, recommend
from rd_core.calibration.threshold import calibrate
from rd_core.errors import ConfigError
from tests.examples import examples

COSTS = Costs(miss=100, alarm=1, defect_share=0.02)


def choices(thresholds):
    """One alpha a threshold, from 0.9 downwards."""
    rising = np.sort(np.asarray(thresholds, float))
    alphas = 0.9 * 0.9 ** np.arange(len(rising))
    return Reachable(alphas, rising, rising - 0.1, rising + 0.1, alphas < 0.1)


def drawn(seed, normal=60, anomalous=40, shift=2.5):
    random = np.random.default_rng(seed)
    scores = np.r_[random.normal(size=normal), random.normal(shift, size=anomalous)]
    return scores, np.arange(len(scores)) >= normal, [str(i) for i in range(len(scores))]


def plain_cost(costs, threshold, scores, labels):
    """By the definition, image by image."""
    missed = [s <= threshold for s, anomalous in zip(scores, labels, strict=True) if anomalous]
    stopped = [s > threshold for s, anomalous in zip(scores, labels, strict=True) if not anomalous]
    share = costs.defect_share
    return share * costs.miss * np.mean(missed) + (1 - share) * costs.alarm * np.mean(stopped)


@given(st.integers(0, 1000), st.floats(0.1, 1e4), st.floats(0.001, 0.5))
@examples(25)
def test_no_threshold_is_cheaper_and_the_one_in_force_stays_if_none_is(seed, miss, share):
    scores, labels, parts = drawn(seed, 30, 20)
    scores, costs, at = np.round(scores, 1), Costs(miss, 1, share), choices(np.linspace(-3, 5, 41))
    cost = [plain_cost(costs, threshold, scores, labels) for threshold in at.thresholds]
    today = float(at.alphas[int(np.argmin(cost))])
    best = recommend(costs, at, 0.9, scores, labels, parts)
    assert best.in_force or plain_cost(costs, best.threshold, scores, labels) == pytest.approx(min(cost))
    kept = recommend(costs, at, today, scores, labels, parts)
    assert kept.alpha == today
    assert kept.in_force


@given(st.integers(0, 1000), st.floats(0.5, 0.99))
@examples(25)
def test_of_thresholds_with_the_wanted_recall_none_has_fewer_false_alarms(seed, wanted):
    scores, labels, parts = drawn(seed, 30, 20)
    at, most = choices(np.linspace(-8, 5, 60)), WantedRecall(wanted).may_miss(20) or 0
    best = recommend(WantedRecall(wanted), at, 0.9, scores, labels, parts)
    assert (scores[labels] <= best.threshold).sum() <= most
    fewest = min((scores[~labels] > t).sum() for t in at.thresholds if (scores[labels] <= t).sum() <= most)
    assert (scores[~labels] > best.threshold).sum() == fewest


def test_the_wanted_recall_is_kept_on_new_defects():
    """The share as counted on the labelled ones would be missed: 0.9 of 19 are 17.1."""
    at = choices(np.linspace(-3, 6, 400))
    found = [
        norm.sf(recommend(WantedRecall(0.9), at, 0.9, *drawn(seed, 20, 19)).threshold, loc=2.5) for seed in range(300)
    ]
    assert 0.9 <= np.mean(found) <= 0.92


def test_too_few_defects_for_a_wanted_recall_must_all_be_found():
    assert (WantedRecall(0.95).may_miss(18), WantedRecall(0.95).may_miss(19)) == (None, 0)
    scores, labels, parts = drawn(0, 30, 8)
    best = recommend(WantedRecall(0.95), choices(np.linspace(-4, 5, 90)), 0.9, scores, labels, parts)
    assert best.threshold < scores[labels].min()


def test_cross_fitted_figures_are_those_of_new_images_and_the_chosen_ones_flatter():
    at = choices(np.linspace(-3, 6, 200))
    told, flattering, true = [], [], []
    for seed in range(120):
        best = recommend(COSTS, at, 0.9, *drawn(seed, 40, 20, 1.5))
        told.append(best.cost.value)
        flattering.append(COSTS.expected(best.recall_as_chosen, best.false_alarm_rate_as_chosen))
        true.append(COSTS.expected(norm.sf(best.threshold, loc=1.5), norm.sf(best.threshold)))
        assert best.cost.low <= best.cost.value <= best.cost.high
        assert best.saving.low <= best.saving.value <= best.saving.high
    assert np.mean(told) == pytest.approx(np.mean(true), abs=0.03)
    assert np.mean(flattering) < np.mean(true) - 0.05


def test_the_interval_of_the_saving_covers_the_truth():
    """Also where no labelled good part is stopped anew: the bootstrap alone would be sure of that."""
    at, costs, covered = choices([1.0, 1.6, 2.6]), Costs(20, 1, 0.02), []
    for seed in range(120):
        best = recommend(costs, at, float(at.alphas[2]), *drawn(seed, 15, 15, 2.0))
        cost = [costs.expected(norm.sf(t, loc=2), norm.sf(t)) for t in (2.6, best.threshold)]
        covered.append(best.saving.low <= cost[0] - cost[1] <= best.saving.high)
    assert np.mean(covered) >= 0.93


def test_the_threshold_in_force_stays_where_another_saves_only_on_the_images_that_chose_it():
    at, kept = choices(np.linspace(-3, 6, 200)), 0
    for seed in range(30):
        scores, labels, parts = drawn(seed, 12, 8, 1.5)
        costs = [plain_cost(COSTS, threshold, scores, labels) for threshold in at.thresholds]
        near = int(np.argmin(COSTS.expected(norm.sf(at.thresholds, loc=1.5), norm.sf(at.thresholds))))
        best = recommend(COSTS, at, float(at.alphas[near]), scores, labels, parts)
        assert best.saving.value >= 0
        if best.in_force and min(costs) < costs[near]:
            kept += 1
            assert best.recall.value == best.recall_as_chosen
    assert kept > 5


def test_images_of_one_part_stay_together():
    """Ten images a part that are alike: were each a part of its own, every threshold would have seen its like."""
    random = np.random.default_rng(3)
    part = np.repeat(np.arange(24), 10)
    labels = part >= 12
    scores = (random.normal(size=24) + 1.0 * (np.arange(24) >= 12))[part] + 1e-3 * random.normal(size=240)
    at = choices(np.linspace(-3, 5, 200))
    together = recommend(COSTS, at, 0.9, scores, labels, [str(p) for p in part])
    apart = recommend(COSTS, at, 0.9, scores, labels, [str(i) for i in range(240)])
    assert together.threshold == apart.threshold
    assert together.cost.value > apart.cost.value
    assert together.recall.high - together.recall.low > apart.recall.high - apart.recall.low


def test_too_few_parts_say_nothing():
    few = FEWEST_PARTS - 1
    at = choices([0.0, 1.0])
    assert recommend(COSTS, at, 0.9, *drawn(0, few, 30)) is None
    assert recommend(COSTS, at, 0.9, *drawn(0, 30, few)) is None
    assert recommend(COSTS, at, 0.9, [], np.empty(0, bool), []) is None
    scores, labels, _ = drawn(0, 30, 30)
    assert recommend(COSTS, at, 0.9, scores, labels, ["good"] * 30 + [str(i) for i in range(30)]) is None


def test_a_recall_that_no_setting_reaches_has_no_recommendation():
    scores, labels, parts = drawn(0)
    assert recommend(WantedRecall(0.99), choices([9.0, 10.0]), 0.9, scores, labels, parts) is None


@pytest.mark.parametrize("size", [1e-280, 1e280])
def test_scores_of_any_size_choose_alike(size):
    scores, labels, parts = drawn(1)
    at = choices(np.linspace(-3, 5, 30))
    scaled = replace(at, thresholds=size * at.thresholds)
    assert recommend(COSTS, scaled, 0.9, size * scores, labels, parts).alpha == (
        recommend(COSTS, at, 0.9, scores, labels, parts).alpha
    )


def test_what_alpha_reaches_are_its_thresholds():
    held = np.random.default_rng(0).normal(size=50)
    in_force = replace(calibrate(held, 0.013), value=7.0)
    at = reachable(held, in_force)
    assert (np.diff(at.alphas) < 0).all()
    assert at.thresholds[at.place(0.013)] == 7.0
    assert at.thresholds[at.place(0.1)] == calibrate(held, 0.1).value
    assert at.extrapolated.tolist() == (at.alphas < 1 / 51).tolist()
    assert at.alphas.min() >= 1 / 510
    proven = reachable(held, in_force, extrapolate=False)
    assert set(proven.alphas[proven.extrapolated]) == {0.013}


@pytest.mark.parametrize("wrong", [(0, 1, 0.1), (1, float("inf"), 0.1), (1, 1, 0), (1, 1, 1.0)])
def test_goals_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError):
        Costs(*wrong)
    with pytest.raises(ConfigError):
        WantedRecall(wrong[2] if wrong[2] in (0, 1) else 1.0)
