from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rd_core.metrics.region_weights import UNIT, add_region_weights
from tests.examples import examples


@st.composite
def regions(draw):
    """(bins, region of each pixel), every region with a pixel."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 6))
    region = np.r_[np.arange(count), random.integers(count, size=draw(st.integers(0, 60)))]
    random.shuffle(region)
    highest = draw(st.sampled_from([3, 65536]))
    return random.integers(highest, size=len(region)).astype(np.uint16), region


def weights_of(bins, region):
    weights = np.zeros(65536, np.int64)
    add_region_weights(weights, bins, region)
    return weights


@given(regions())
@examples(40)
def test_a_region_weighs_one_unit_and_never_errs_by_half_of_a_step(sample):
    bins, region = sample
    for one in np.unique(region):
        own = bins[region == one]
        weights = weights_of(own, np.zeros(len(own), np.intp))
        assert weights.sum() == UNIT
        assert (weights >= 0).all()
        up_to = np.cumsum(weights)
        for b in np.unique(own):
            exact = Fraction(int((own <= b).sum()), len(own)) * UNIT
            assert abs(int(up_to[b]) - exact) <= Fraction(501, 1000)


@given(regions())
@examples(40)
def test_regions_of_an_image_weigh_what_they_weigh_alone(sample):
    bins, region = sample
    alone = sum(weights_of(bins[region == r], np.zeros((region == r).sum(), np.intp)) for r in np.unique(region))
    np.testing.assert_array_equal(weights_of(bins, region), alone)
