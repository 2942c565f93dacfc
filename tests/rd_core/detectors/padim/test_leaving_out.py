"""Downdated Gaussians against those fitted without the part."""

import numpy as np
import pytest
import torch

from rd_core.detectors.cross_normals import PlacesOfPart
from rd_core.detectors.gaussians import AT_ONCE, PositionMoments
from rd_core.detectors.padim.leaving_out import GaussiansWithout

POSITIONS, DIMENSIONS = AT_ONCE + 5, 7


def _reference(normals, queries, ridge):
    """The paper's Eq. 1 and 2 in NumPy, position by position."""
    distances = np.empty(queries.shape[:2])
    for position in range(POSITIONS):
        seen = normals[:, position].double().numpy()
        inverse = np.linalg.inv(np.cov(seen, rowvar=False) + ridge * np.eye(DIMENSIONS))
        apart = queries[:, position].double().numpy() - seen.mean(axis=0)
        distances[:, position] = np.sqrt(np.einsum("bi,ij,bj->b", apart, inverse, apart))
    return distances


@pytest.mark.parametrize("ridge", [1e-6, 0.01, 10.0])
@pytest.mark.parametrize(("count", "size"), [(40, 1), (40, 4), (5, 1), (5, 3), (3, 1)])
def test_distances_are_those_of_gaussians_fitted_without_the_part(count, size, ridge):
    rng = np.random.default_rng(count)
    mixing = rng.normal(size=(DIMENSIONS, DIMENSIONS))
    images = torch.from_numpy((50 + rng.normal(size=(count + 2, POSITIONS, DIMENSIONS)) @ mixing).astype(np.float32))
    normals, others = images[:count], images[count:]
    moments = PositionMoments(POSITIONS, DIMENSIONS, torch.device("cpu"))
    moments.add(normals)
    gaussians = GaussiansWithout(moments, torch.full((DIMENSIONS,), ridge), size)
    # Two parts in a batch: the first images with one that was not learnt from, then the last ones.
    batch = torch.cat([normals[:size], others[:1], normals[-size:]])
    places = [
        PlacesOfPart(list(range(size)), list(range(size + 1))),
        PlacesOfPart(list(range(size + 1, 2 * size + 1)), list(range(size + 1, 2 * size + 1))),
    ]
    result = gaussians.distances(batch, places)
    np.testing.assert_allclose(result[: size + 1], _reference(normals[size:], batch[: size + 1], ridge), rtol=1e-4)
    np.testing.assert_allclose(result[size + 1 :], _reference(normals[:-size], batch[size + 1 :], ridge), rtol=1e-4)
