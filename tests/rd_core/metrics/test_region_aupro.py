import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from rd_core.errors import ConfigError
from rd_core.metrics.aupro import aupro
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.region_aupro import region_auproes
from tests.examples import examples
from tests.rd_core.metrics.random_maps import random_sample


@examples(30)
@given(st.integers(0, 2**32), st.sampled_from([1, 6, 4000]), st.sampled_from([0.05, 0.3, 1.0]))
def test_the_mean_over_regions_is_the_aupro(seed, levels, limit):
    sample = random_sample(seed, levels=levels)
    tables = PixelTables.of(*sample)
    values, images = region_auproes(tables, *sample, limit)
    assert len(values) == len(images) == tables.regions
    assert values.mean() == pytest.approx(aupro(tables, limit), abs=1e-9)


def test_each_region_is_on_its_image_and_has_what_it_would_have_alone():
    sample = random_sample(3, images=10)
    tables = PixelTables.of(*sample)
    values, images = region_auproes(tables, *sample)
    expected = []
    for i, mask in enumerate(sample.masks):
        if mask is None or np.isnan(sample.maps[i]).all():
            continue
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        for region in range(1, count + 1):
            alone, result = PixelTables.of([sample.maps[i]], [labels == region], [True]), tables.defect_free()
            only = PixelTables(
                result, alone.around_defects * 0, alone.anomalous, alone.region_weights, 1, 1, 1, 0, 0, 12, 15
            )
            expected.append((i, aupro(only)))
    assert images.tolist() == [i for i, _ in expected]
    assert values == pytest.approx([value for _, value in expected], abs=1e-9)


def test_a_part_of_the_images_keeps_its_values_and_no_regions_have_none():
    sample = random_sample(4)
    tables = PixelTables.of(*sample)
    values, images = region_auproes(tables, *sample)
    half = sample[:4]
    assert region_auproes(tables, *half)[0].tolist() == values[images < 4].tolist()
    assert len(region_auproes(tables, *sample[~sample.labels])[0]) == 0


def test_a_limit_that_spans_nothing_is_refused():
    with pytest.raises(ConfigError, match="FPR limit"):
        region_auproes(PixelTables.empty(), [], [], [], 0.0)
