"""Distances and re-weighted scores against NumPy in float64."""

import numpy as np
import pytest
import torch

from rd_core.detectors.patchcore import neighbours as module
from rd_core.detectors.patchcore.neighbours import nearest, reweighted


def _vectors(count, seed, width=20):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32))


def _distances(queries, memory):
    return np.linalg.norm(queries.double().numpy()[:, None] - memory.double().numpy()[None], axis=2)


def _weighted(queries, memory, neighbours):
    """Eq. 6 and 7 of the paper."""
    scores = []
    for distances in _distances(queries, memory):
        nearest_one = distances.argmin()
        around = np.argsort(_distances(memory[nearest_one : nearest_one + 1], memory)[0])[:neighbours]
        share = np.exp(distances[nearest_one]) / np.exp(distances[around]).sum()
        scores.append((1 - share) * distances[nearest_one])
    return scores


@pytest.mark.parametrize(("queries", "memory"), [(19, 70), (16, 64), (3, 1)])
def test_distances_are_those_of_numpy_whatever_the_blocks(queries, memory, monkeypatch):
    monkeypatch.setattr(module, "QUERIES", 8)
    monkeypatch.setattr(module, "MEMORY", 16)
    some, vectors = _vectors(queries, 0), _vectors(memory, 1)
    np.testing.assert_allclose(nearest(some, vectors), _distances(some, vectors).min(axis=1), rtol=1e-4)


def test_scores_are_those_of_the_paper():
    queries, memory = _vectors(30, 0), _vectors(400, 1)
    np.testing.assert_allclose(reweighted(queries, memory, 9), _weighted(queries, memory, 9), rtol=1e-5)
    few = memory[:4]
    np.testing.assert_allclose(reweighted(queries, few, 9), _weighted(queries, few, 4), rtol=1e-5)


def test_distances_too_large_for_an_exponential_are_weighted_too():
    queries, memory = 1e4 * _vectors(5, 0), 1e4 * _vectors(50, 1)
    scores = reweighted(queries, memory, 9)
    np.testing.assert_allclose(scores, nearest(queries, memory), rtol=1e-4)  # the nearest has no share


@pytest.mark.parametrize("neighbours", [0, 1, 9])
def test_a_memory_of_one_vector_and_one_neighbour_leave_the_distance(neighbours):
    queries, memory = _vectors(5, 0), _vectors(50 if neighbours < 2 else 1, 1)
    np.testing.assert_allclose(reweighted(queries, memory, neighbours), _distances(queries, memory).min(axis=1), 1e-5)


def test_copies_in_a_memory_do_not_hide_a_defect():
    queries, memory = _vectors(5, 0), _vectors(3, 1).repeat(20, 1)
    assert (reweighted(queries, memory, 9) > 0.8 * nearest(queries, memory)).all()
