import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from rd_core.metrics.intervals import clopper_pearson
from tests.examples import examples


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@examples(30)
def test_it_is_the_exact_interval_of_scipy(counts):
    successes, trials = counts
    interval = clopper_pearson(successes, trials)
    expected = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert interval.low <= interval.value == successes / trials <= interval.high


def test_without_trials_nothing_is_known():
    interval = clopper_pearson(0, 0)
    assert np.isnan(interval.value)
    assert (interval.low, interval.high) == (0, 1)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3), (0, -1)])
def test_counts_that_are_no_share_are_refused(successes, trials):
    with pytest.raises(ValueError, match="not a share"):
        clopper_pearson(successes, trials)
