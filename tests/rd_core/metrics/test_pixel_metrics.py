import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from rd_core.metrics.pixel_metrics import pixel_auroc, pixel_average_precision
from rd_core.metrics.pixel_tables import PixelTables
from tests.examples import examples
from tests.rd_core.metrics.random_maps import random_sample


@given(st.integers(0, 2**32), st.sampled_from([4, 40, 4000]))
@examples(20)
def test_they_are_those_of_scikit_learn_over_all_pixels(seed, levels):
    sample = random_sample(seed, levels=levels)
    values, defects = sample.pixels()
    finite = np.where(np.isinf(values), 1e9, values)
    tables = PixelTables.of(*sample)
    assert pixel_auroc(tables) == pytest.approx(roc_auc_score(defects, finite), abs=1e-12)
    assert pixel_average_precision(tables) == pytest.approx(average_precision_score(defects, finite), abs=1e-12)


@pytest.mark.parametrize("chosen", ["normal", "none"])
def test_without_defects_or_without_pixels_there_is_no_metric(chosen):
    sample = random_sample(0)
    tables = PixelTables.of(*sample[~sample.labels]) if chosen == "normal" else PixelTables.empty()
    assert np.isnan([pixel_auroc(tables), pixel_average_precision(tables)]).all()


def test_without_a_defect_free_pixel_there_is_none_either():
    tables = PixelTables.of([np.ones((2, 2), np.float16)], [np.ones((2, 2), bool)], [True])
    assert np.isnan([pixel_auroc(tables), pixel_average_precision(tables)]).all()
