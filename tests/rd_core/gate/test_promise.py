"""Bounds of a false-alarm rate by parts: exact where they can be, never below the stated confidence, and the numbers
of normals that a proof needs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from rd_core.gate.promise import PartAlarms
from tests.examples import examples

confidences = st.sampled_from([0.5, 0.8, 0.95, 0.999])
limits = st.floats(0.005, 1.0)


@st.composite
def counted(draw: st.DrawFn, fewest: int = 1) -> PartAlarms:
    parts = draw(st.integers(fewest, 400))
    single = draw(st.booleans())
    alarms = draw(st.integers(0, parts) if single else st.floats(0, parts))
    return PartAlarms(float(alarms), parts, single)


@examples(60)
@given(counted(), confidences)
def test_bounds_of_single_images_are_the_exact_binomials(counts: PartAlarms, confidence: float) -> None:
    counts = PartAlarms(round(counts.alarms), counts.parts, single=True)
    for side, bound in (("less", counts.high), ("greater", counts.low)):
        exact = binomtest(int(counts.alarms), counts.parts, alternative=side).proportion_ci(confidence, "exact")
        assert bound(confidence) == pytest.approx(exact.high if side == "less" else exact.low, abs=1e-9)


@examples(60)
@given(counted(), confidences)
def test_bounds_of_parts_enclose_the_rate_and_are_no_tighter_than_exact(
    counts: PartAlarms, confidence: float
) -> None:
    loose = PartAlarms(round(counts.alarms), counts.parts, single=False)
    exact = PartAlarms(loose.alarms, loose.parts, single=True)
    assert loose.low(confidence) <= exact.low(confidence) + 1e-9
    assert loose.high(confidence) >= exact.high(confidence) - 1e-9
    assert 0 <= counts.low(confidence) <= counts.rate <= counts.high(confidence) <= 1
    none = PartAlarms(0, counts.parts, counts.single)
    assert none.high(confidence) == pytest.approx(1 - (1 - confidence) ** (1 / counts.parts))
    assert none.low(confidence) == 0


@examples(60)
@given(counted(), confidences)
def test_bounds_of_parts_are_where_hoeffdings_inequality_says(counts: PartAlarms, confidence: float) -> None:
    """So small a mean of n values in [0, 1] whose real mean is m has a chance of at most exp(-n KL(mean, m))."""
    high = PartAlarms(counts.alarms, counts.parts, single=False).high(confidence)
    rest, surely = 1 - counts.rate, 1 - high
    if counts.rate > 0 and surely > 1e-9:
        divergence = counts.rate * np.log(counts.rate / high) + rest * np.log(rest / surely)
        assert np.exp(-counts.parts * divergence) == pytest.approx(1 - confidence, rel=1e-4)


def test_a_bound_is_below_the_real_rate_no_more_often_than_stated() -> None:
    """Exactly, over all counts; and for parts whose images alarm together or apart, by 4,000 draws each."""
    for real, parts in ((0.05, 60), (0.05, 200), (0.3, 25)):
        counts = np.arange(parts + 1)
        chances = binom.pmf(counts, parts, real)
        for single in (True, False):
            missed = [PartAlarms(count, parts, single).high(0.95) < real for count in counts.tolist()]
            assert chances[missed].sum() <= 0.05
    random = np.random.default_rng(0)
    for spread in (0.2, 5.0):  # a beta law of the part's own rate: all or nothing, and all alike
        rates = random.beta(0.05 * spread, 0.95 * spread, (4000, 60))
        shares = random.binomial(4, rates).sum(axis=1) / 4
        highs = {alarms: PartAlarms(alarms, 60, single=False).high(0.95) for alarms in set(shares.tolist())}
        assert np.mean([highs[alarms] < 0.05 for alarms in shares.tolist()]) <= 0.05
    as_images = {n: PartAlarms(n, 240, single=True).high(0.95) for n in range(241)}
    rates = random.beta(0.01, 0.19, (4000, 60))
    alarms = random.binomial(4, rates).sum(axis=1).tolist()
    assert np.mean([as_images[n] < 0.05 for n in alarms]) > 0.15, "images of a part are not independent"


@examples(60)
@given(counted(), limits, confidences)
def test_the_normals_needed_are_the_fewest_that_show_it(counts: PartAlarms, limit: float, confidence: float) -> None:
    def shown(alarms: float, parts: int) -> bool:
        return PartAlarms(alarms, parts, counts.single).high(confidence) <= limit

    needed = counts.needed_without_more(limit, confidence)
    assert shown(counts.alarms, needed)
    assert needed == 1 or not shown(counts.alarms, needed - 1)
    at_this_rate = counts.needed_at_this_rate(limit, confidence)
    assert (at_this_rate is None) == (counts.rate >= limit)
    if at_this_rate is not None and at_this_rate < 10**8:
        assert shown(counts.rate * at_this_rate, at_this_rate)
        assert at_this_rate == 1 or not shown(counts.rate * (at_this_rate - 1), at_this_rate - 1)


def test_the_numbers_that_the_pages_name() -> None:
    """Five times alpha, shown with 95 % confidence; see docs/retraining.md."""
    without = {
        alpha: PartAlarms(0, 10, True).needed_without_more(5 * alpha, 0.95) for alpha in (0.1, 0.05, 0.01, 0.001)
    }
    assert without == {0.1: 5, 0.05: 11, 0.01: 59, 0.001: 598}
    assert PartAlarms(0, 60, True).high(0.95) == pytest.approx(0.0487, abs=1e-4)
    assert PartAlarms(3, 60, True).needed_at_this_rate(0.05, 0.95) is None, "the rate is the limit itself"
    assert [PartAlarms(k, 60, True).needed_without_more(0.05, 0.95) for k in range(1, 4)] == [93, 124, 153]


def test_a_part_weighs_the_same_however_many_images_it_has() -> None:
    parts = ["a", "b", "b", "c", "c", "c", "c"]
    flagged = np.array([False, True, True, True, False, False, False])
    assert PartAlarms.of(flagged, parts) == PartAlarms(1.25, 3, single=False)
    assert PartAlarms.of(flagged[:2], ["a", "b"]) == PartAlarms(1.0, 2, single=True)
    none = PartAlarms.of(np.zeros(0, np.bool_), [])
    assert (none.parts, none.low(0.95), none.high(0.95)) == (0, 0.0, 1.0)
    assert np.isnan(none.rate) and none.needed_at_this_rate(0.05, 0.95) is None
    assert none.needed_without_more(0.05, 0.95) == 59
