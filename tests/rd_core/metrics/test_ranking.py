import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from rd_core.metrics.ranking import Ranking, auroc, average_precision, oracle_f1
from tests.examples import examples
from tests.rd_core.metrics.random_maps import f1

counts = st.lists(st.integers(0, 4), min_size=1, max_size=12)


@st.composite
def rankings(draw):
    normal = draw(counts)
    anomalous = draw(st.lists(st.integers(0, 4), min_size=len(normal), max_size=len(normal)))
    # Both kinds at least once, or nothing is defined.
    normal[draw(st.integers(0, len(normal) - 1))] += 1
    anomalous[draw(st.integers(0, len(normal) - 1))] += 1
    values = np.sort(np.random.default_rng(len(normal)).normal(size=len(normal)))
    return Ranking(values, np.array(normal), np.array(anomalous))


def cases(ranking):
    scores = np.r_[np.repeat(ranking.values, ranking.normal), np.repeat(ranking.values, ranking.anomalous)]
    return np.arange(len(scores)) >= ranking.normal.sum(), scores


@given(rankings())
@examples(25)
def test_auroc_and_average_precision_are_those_of_scikit_learn(ranking):
    labels, scores = cases(ranking)
    assert float(auroc(ranking)) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert float(average_precision(ranking)) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


@given(rankings())
@examples(25)
def test_the_oracle_is_the_best_of_all_thresholds_and_keeps_its_word(ranking):
    labels, scores = cases(ranking)
    best = max(f1(labels, scores > t) for t in [-np.inf, *ranking.values[:-1]])
    result = oracle_f1(ranking)
    assert result.value == pytest.approx(best)
    assert f1(labels, scores > result.threshold) == pytest.approx(best)


@given(st.lists(rankings(), min_size=2, max_size=4))
@examples(20)
def test_many_resamples_at_once_give_what_each_gives(given_rankings):
    k = min(len(r.values) for r in given_rankings)
    one = [Ranking(given_rankings[0].values[:k], r.normal[:k], r.anomalous[:k]) for r in given_rankings]
    stacked = Ranking(one[0].values, np.stack([r.normal for r in one]), np.stack([r.anomalous for r in one]))
    for metric in (auroc, average_precision):
        np.testing.assert_array_equal(metric(stacked), [metric(r) for r in one])


@pytest.mark.parametrize(("normal", "anomalous"), [([1, 2], [0, 0]), ([0, 0], [3, 0]), ([], [])])
def test_one_kind_alone_has_no_metric(normal, anomalous):
    ranking = Ranking(np.arange(len(normal)), np.array(normal, int), np.array(anomalous, int))
    for metric in (auroc, average_precision):
        assert np.isnan(metric(ranking))
    assert np.isnan([oracle_f1(ranking).value, oracle_f1(ranking).threshold]).all()


def test_when_all_are_flagged_the_threshold_is_below_everything():
    assert oracle_f1(Ranking(np.array([1.0, 2.0]), np.array([0, 1]), np.array([5, 5]))).threshold == -np.inf


def test_of_equal_optima_the_highest_threshold_is_taken():
    # One of two found without a false alarm, or both with two.
    result = oracle_f1(Ranking(np.array([0.0, 1.0, 2.0]), np.array([1, 1, 0]), np.array([1, 0, 1])))
    assert result.value == pytest.approx(2 / 3)
    assert result.threshold == 1.0


def test_no_threshold_lies_below_minus_infinity():
    result = oracle_f1(Ranking(np.array([-np.inf, 0.0]), np.array([0, 1]), np.array([9, 1])))
    assert result.threshold == -np.inf
    assert result.value == pytest.approx(2 / 12)
