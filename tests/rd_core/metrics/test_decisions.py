import numpy as np
import pytest

from rd_core.metrics.decisions import decisions_at
from rd_core.metrics.intervals import clopper_pearson

SCORES = [0.1, 0.2, 0.5, 0.9, 0.3, 0.5, 0.6, 0.8, 0.9]
LABELS = [False] * 4 + [True] * 5


def test_the_four_counts_and_their_shares():
    decisions = decisions_at(0.5, SCORES, LABELS)
    counts = decisions.true_positives, decisions.false_positives, decisions.false_negatives, decisions.true_negatives
    assert counts == (3, 1, 2, 3)
    assert decisions.threshold == 0.5
    assert decisions.precision == clopper_pearson(3, 4)
    assert decisions.recall == clopper_pearson(3, 5)
    assert decisions.false_alarm_rate == clopper_pearson(1, 4)


def test_shares_of_nothing_are_undefined():
    none_flagged = decisions_at(1.0, SCORES, LABELS)
    assert np.isnan(none_flagged.precision.value)
    assert none_flagged.recall.value == 0
    assert np.isnan(decisions_at(0.5, SCORES[4:], LABELS[4:]).false_alarm_rate.value)
    assert np.isnan(decisions_at(0.5, SCORES[:4], LABELS[:4]).recall.value)


@pytest.mark.parametrize("threshold", [np.nan, np.inf])
def test_a_threshold_that_decides_nothing_is_refused(threshold):
    with pytest.raises(ValueError, match="decides nothing"):
        decisions_at(threshold, SCORES, LABELS)
