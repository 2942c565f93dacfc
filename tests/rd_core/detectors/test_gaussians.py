"""Gaussians of positions against NumPy in float64."""

import numpy as np
import pytest
import torch

from rd_core.detectors.gaussians import AT_ONCE, PositionMoments, mahalanobis

RIDGE = 0.01
POSITIONS, DIMENSIONS = AT_ONCE + 9, 7


def _images(count, offset=0.0, seed=0):
    """(count, P, d), with every position's channels mixed in the same way."""
    rng = np.random.default_rng((seed, count))
    mixed = rng.normal(size=(count, POSITIONS, DIMENSIONS)) @ np.random.default_rng(1).normal(size=(DIMENSIONS,) * 2)
    return torch.from_numpy((mixed + offset).astype(np.float32))


def _gaussians(*some):
    moments = PositionMoments(POSITIONS, DIMENSIONS, torch.device("cpu"))
    for embeddings in some:
        moments.add(embeddings)
    return moments.gaussians(torch.full((DIMENSIONS,), RIDGE))


def _reference(normals, queries):
    """The paper's Eq. 1 and 2, position by position."""
    distances = np.empty(queries.shape[:2])
    for position in range(POSITIONS):
        seen = normals[:, position].double().numpy()
        inverse = np.linalg.inv(np.cov(seen, rowvar=False) + RIDGE * np.eye(DIMENSIONS))
        apart = queries[:, position].double().numpy() - seen.mean(axis=0)
        distances[:, position] = np.sqrt(np.einsum("bi,ij,bj->b", apart, inverse, apart))
    return distances


@pytest.mark.parametrize("count", [40, 2])
@pytest.mark.parametrize("offset", [0, 100])
def test_distances_are_those_of_numpy(count, offset):
    normals, queries = _images(count, offset), _images(9, offset, seed=1)
    result = mahalanobis(queries, *_gaussians(*normals.split(8)))
    np.testing.assert_allclose(result.numpy(), _reference(normals, queries), rtol=1e-4)


def test_the_order_of_the_normals_does_not_matter_but_for_rounding():
    normals = _images(30, offset=100)
    for one, other in zip(_gaussians(*normals.split(8)), _gaussians(*normals.flip(0).split(7)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_copies_of_one_normal_and_a_constant_channel_leave_the_ridge_alone():
    normal = _images(1).expand(5, -1, -1)
    means, whitening = _gaussians(normal)
    np.testing.assert_allclose(means, normal[0], rtol=1e-6)
    np.testing.assert_allclose(whitening, torch.eye(DIMENSIONS).expand_as(whitening) / RIDGE**0.5, rtol=1e-5)
    varied = _images(20)
    varied[..., 3] = 5.0
    queries = varied.clone()
    queries[..., 3] += 1
    squares, others = (mahalanobis(some, *_gaussians(varied)).square() for some in (queries, varied))
    np.testing.assert_allclose(squares, others + 1 / RIDGE, rtol=1e-4)


def test_a_position_learns_from_the_images_that_show_it_alone():
    """The other ones' embeddings count in nothing. Distances are scaled, by less where most images show it."""
    normals, queries = _images(12), _images(5, seed=1)
    counted = torch.from_numpy(np.random.default_rng(2).random((12, POSITIONS)) < 0.7)
    counted[:, 3], counted[1:, 4], counted[:, 5], counted[4:, 6] = False, False, True, False
    counted[0, 4] = counted[:4, 6] = True
    moments = PositionMoments(POSITIONS, DIMENSIONS, torch.device("cpu"))
    for some, seen in zip(normals.split(5), counted.split(5), strict=True):
        moments.add(some.masked_fill(~seen[..., None], 99), seen)
    result = mahalanobis(queries, *moments.gaussians(torch.full((DIMENSIONS,), RIDGE)))
    assert not result[:, 3:5].any(), "no two images show them"
    scales = {}
    for position in (0, 5, 6):
        own = normals[counted[:, position], position : position + 1].repeat(1, POSITIONS, 1)
        expected = _reference(own, queries[:, position : position + 1].repeat(1, POSITIONS, 1))[:, 0]
        scales[position] = result[:, position].numpy() / expected
        np.testing.assert_allclose(scales[position], scales[position][0], rtol=1e-4)
    assert scales[6][0] < 0.7 * scales[0][0] < 0.7 and scales[5][0] == pytest.approx(1)


@pytest.mark.parametrize("count", [40, 9])
def test_unseen_normals_lie_as_far_from_gaussians_of_few_images_as_from_those_of_all(count):
    """Also where the ridge decides, since there are hardly more images than dimensions."""
    normals, queries = _images(count), _images(60, seed=1)
    shown = torch.tensor([2, 3, count // 2, count - 1, count])[torch.arange(POSITIONS) % 5]
    moments = PositionMoments(POSITIONS, DIMENSIONS, torch.device("cpu"))
    moments.add(normals, torch.arange(count)[:, None] < shown)
    squares = mahalanobis(queries, *moments.gaussians(torch.full((DIMENSIONS,), RIDGE))).square()
    means = np.array([squares[:, shown == number].mean().sqrt() for number in shown[:5]])
    np.testing.assert_allclose(means, means[-1], rtol=0.35)
    assert abs(np.log(means[2] / means[-1])) < 0.15
