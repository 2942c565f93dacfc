"""The greedy coreset against the algorithm done to the letter."""

import numpy as np
import pytest
import torch

from rd_core.detectors.patchcore import coreset
from rd_core.detectors.patchcore.coreset import POOL, greedy_coreset, random_projection


def _letter(points, count, start):
    """Algorithm 1 of the paper, in float64."""
    points, chosen = points.double().numpy(), [start]
    nearest = np.full(len(points), np.inf)
    for _ in range(count - 1):
        nearest = np.minimum(nearest, np.square(points - points[chosen[-1]]).sum(axis=1))
        chosen.append(int(nearest.argmax()))
    return chosen


def _points(count, width=12):
    """In clumps of many sizes, as features are."""
    rng = np.random.default_rng(count)
    clumps = rng.normal(size=(50, width))
    points = clumps[rng.integers(50, size=count)] + rng.normal(size=(count, width)) * rng.gamma(1, 0.3, (count, 1))
    return torch.from_numpy(points.astype(np.float32))


@pytest.mark.parametrize("pool", [8, 100, POOL])
def test_it_is_the_one_that_is_found_by_the_letter(pool, monkeypatch):
    monkeypatch.setattr(coreset, "POOL", pool)
    monkeypatch.setattr(coreset, "CHUNK", 7)
    points = _points(700)
    reported = []
    assert greedy_coreset(points, 250, 5, reported.append).tolist() == _letter(points, 250, 5)
    assert reported[-1] == 250


def test_copies_are_chosen_once():
    points = _points(40)
    chosen = greedy_coreset(points.repeat(100, 1), 200, 0)
    assert sorted((chosen % 40).tolist()) == list(range(40))
    assert greedy_coreset(torch.zeros(10, 4), 5, 3).tolist() == [3]


def test_a_projection_keeps_distances_on_average_and_follows_its_seed():
    points = _points(200, width=60)
    projected = points @ random_projection(60, 128, seed=0)
    ratio = torch.pdist(projected) / torch.pdist(points)
    assert 0.95 < ratio.mean() < 1.05
    assert ratio.std() < 0.1
    assert torch.equal(random_projection(60, 128, seed=0), random_projection(60, 128, seed=0))
    assert not torch.equal(random_projection(60, 128, seed=0), random_projection(60, 128, seed=1))
