import numpy as np
import pytest
from scipy import ndimage

from rd_core.metrics.paper_pro import paper_pro


def swept(values, mask):
    """200 thresholds from the smallest value on, each time all pixels and all regions anew."""
    values = values.astype(float)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    points = []
    for i in range(200):
        above = values > values.min() + i * (values.max() - values.min()) / 200
        overlap = np.mean([above[labels == r].mean() for r in range(1, count + 1)])
        points.append((above[~mask].mean(), overlap))
    kept = np.array([p for p in points if p[0] < 0.3])[::-1]
    return np.trapezoid(kept[:, 1], kept[:, 0] / kept[:, 0].max())


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_sweep_of_200_thresholds(seed):
    random = np.random.default_rng(seed)
    values, mask = random.gamma(2, size=(30, 40)).astype(np.float16), random.random((30, 40)) < 0.05
    values[mask] += 1
    assert paper_pro(values, mask) == pytest.approx(swept(values, mask), abs=1e-12)


def test_regions_weigh_alike_and_the_area_is_stretched():
    """Half of the regions found at once; of the rates below 0.3 only those up to 0.1 occur, and they fill it."""
    values, mask = np.zeros((10, 12)), np.zeros((10, 12), bool)
    mask[0, :2] = mask[4, 4:10] = True
    values[0, :2] = 10
    values[6, :10] = 5
    assert paper_pro(values, mask) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("values", "mask"),
    [
        (np.arange(9.0).reshape(3, 3), np.zeros((3, 3), bool)),
        (np.arange(9.0).reshape(3, 3), np.ones((3, 3), bool)),
        (np.ones((3, 3)), np.eye(3, dtype=bool)),
        (np.eye(3), np.eye(3, dtype=bool)),
    ],
)
def test_where_nothing_can_be_stretched_there_is_none(values, mask):
    assert np.isnan(paper_pro(values, mask))
