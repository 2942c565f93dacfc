"""Losses, error and variance, against plain NumPy loops over the paper's formulas."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from rd_core.detectors.uninformed_students import losses
from rd_core.detectors.uninformed_students.ensemble import Ensemble, error_and_variance
from rd_core.detectors.uninformed_students.settings import UninformedStudentsSettings

Draw = Callable[..., torch.Tensor]


@pytest.fixture
def tensor() -> Draw:
    """Draws float32 tensors of a shape, the same in each test."""
    random = np.random.default_rng(3)
    return lambda *shape: torch.from_numpy(random.normal(0, 2, shape).astype(np.float32))


def test_distillation_is_the_mean_squared_norm(tensor: Draw) -> None:
    decoded, targets = tensor(6, 7), tensor(6, 7)
    expected = np.mean([((a - b) ** 2).sum() for a, b in zip(decoded.numpy(), targets.numpy(), strict=True)])
    assert float(losses.distillation(decoded, targets)) == pytest.approx(expected, rel=1e-5)


def test_the_triplet_loss_takes_the_nearer_negative_and_leaves_out_what_is_no_triplet(tensor: Draw) -> None:
    anchors, positives, negatives = tensor(8, 3), tensor(8, 3), 3 * tensor(8, 3)
    negatives[0], negatives[3] = anchors[0], positives[3]
    valid = torch.tensor([True, True, False, True, True, False, True, True])
    each = []
    for a, p, n, counts in zip(*(x.numpy() for x in (anchors, positives, negatives, valid)), strict=True):
        near, far = ((a - p) ** 2).sum(), min(((a - n) ** 2).sum(), ((p - n) ** 2).sum())
        if counts:
            each.append(max(0, 10 + near - far))
    assert 0 in each and max(each) > 0, "both sides of the hinge"
    assert float(losses.triplet(anchors, positives, negatives, valid)) == pytest.approx(np.mean(each), rel=1e-5)
    assert float(losses.triplet(anchors, positives, negatives, valid & False)) == 0


def test_compactness_sums_the_squared_correlations_of_different_components(tensor: Draw) -> None:
    descriptors = tensor(12, 5)
    descriptors[:, 4] = -descriptors[:, 0]
    correlation = np.corrcoef(descriptors.numpy(), rowvar=False)
    expected = sum(correlation[i, j] ** 2 for i in range(5) for j in range(5) if i != j)
    assert float(losses.compactness(descriptors)) == pytest.approx(expected, rel=1e-4)
    assert expected > 2, "components of opposite sign are redundant too"
    assert np.isfinite(float(losses.compactness(torch.ones(4, 3))))


def test_error_and_variance_are_those_of_the_paper(tensor: Draw) -> None:
    targets, predictions = tensor(2, 5, 3, 4), tensor(3, 2, 5, 3, 4)
    error, variance = (found.numpy() for found in error_and_variance(targets, predictions))
    for b, r, c in np.ndindex(2, 3, 4):
        students, teacher = predictions[:, b, :, r, c].double().numpy(), targets[b, :, r, c].double().numpy()
        mean = students.mean(axis=0)
        assert error[b, r, c] == pytest.approx(((mean - teacher) ** 2).sum(), rel=1e-4)
        expected = np.mean([(one**2).sum() for one in students]) - (mean**2).sum()
        assert variance[b, r, c] == pytest.approx(expected, rel=1e-3)
    assert not error_and_variance(targets, targets[None])[1].any()


def test_the_map_is_the_papers_but_for_a_constant(tensor: Draw) -> None:
    ensemble = Ensemble(UninformedStudentsSettings(width=2, descriptors=5), 33)
    ensemble.error_deviation.fill_(3)
    ensemble.variance_deviation.fill_(0.5)
    targets, predictions = tensor(2, 5, 3, 4), tensor(3, 2, 5, 3, 4)
    error, variance = error_and_variance(targets, predictions)
    papers = (error - 7) / 3 + (variance - 2) / 0.5
    torch.testing.assert_close(ensemble.distances(targets, predictions), papers + 7 / 3 + 2 / 0.5)
