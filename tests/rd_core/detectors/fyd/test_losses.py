"""The losses of pairs against plain references."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from rd_core.detectors.fyd.losses import COARSE, Heads, alignment_loss

IDENTITY = torch.eye(2, 3).expand(3, 2, 3)


def of_pairs(images: np.ndarray, counted: np.ndarray) -> float:
    total, number = 0.0, 0
    for one in range(len(images)):
        both = counted[one] & counted[one - 1]
        total += ((images[one] - images[one - 1]) ** 2).mean(axis=0)[both].sum()
        number += both.sum()
    return total / number


def test_the_alignment_loss_compares_points_and_coarse_means_that_count_in_both():
    random = np.random.default_rng(0)
    images, counted = random.normal(size=(3, 3, 16, 16)).astype(np.float32), random.random((3, 16, 16)) < 0.97
    coarse = images.reshape(3, 3, 4, COARSE, 4, COARSE).mean(axis=(3, 5))
    whole = counted.reshape(3, 4, COARSE, 4, COARSE).all(axis=(2, 4))
    found = alignment_loss(torch.from_numpy(images), torch.from_numpy(counted), IDENTITY)
    assert float(found) == pytest.approx(of_pairs(images, counted) + of_pairs(coarse, whole), rel=1e-3)


def test_the_alignment_loss_pulls_a_moved_part_back():
    row, column = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    blots = [torch.exp(-((row - 30) ** 2 + (column - centre) ** 2) / 50) for centre in (28, 32)]
    images = torch.stack(blots)[:, None].repeat(1, 3, 1, 1)
    shift = torch.zeros(2, 2, 3, requires_grad=True)
    alignment_loss(images, torch.ones(2, 64, 64, dtype=torch.bool), IDENTITY[:2] + shift).backward()
    moves = -shift.grad[:, 0, 2]
    assert moves[0] < 0 < moves[1], "what lies left is shown further right, and the other way round"
    assert shift.grad[:, 1, 2].abs().max() < moves.abs().min() / 10


def reference(heads: Heads, features: Tensor, counted: Tensor, *, stop: bool) -> Tensor:
    """SimSiam with the heads in eval mode, in which each position is its own."""
    cosines = []
    for one in range(len(features)):
        for row, column in torch.argwhere(counted[one] & counted[one - 1]).tolist():
            own, other = (heads.project(features[i, None, :, row, column]) for i in (one, one - 1))
            cosines.append(torch.cosine_similarity(heads.predict(own), other.detach() if stop else other))
    return -torch.cat(cosines).mean()


def test_similarity_is_of_one_prediction_and_a_projection_without_gradient_position_by_position():
    torch.manual_seed(1)
    heads, counted = Heads(8).eval(), torch.rand(3, 4, 5) < 0.8
    features = torch.randn(3, 8, 4, 5)
    gradients = []
    for loss in (
        heads,
        lambda *given: reference(heads, *given, stop=True),
        lambda *g: reference(heads, *g, stop=False),
    ):
        own = features.clone().requires_grad_()
        value = loss(own, counted)
        value.backward()
        gradients.append((float(value.detach()), own.grad))
    (found, mine), (expected, stopped), (_, through) = gradients
    assert found == pytest.approx(expected, rel=1e-5) and -1 <= found <= 1
    np.testing.assert_allclose(mine, stopped, atol=1e-7)
    assert (mine - through).abs().max() > 1e-3


def test_what_does_not_count_changes_neither_loss_nor_statistics():
    torch.manual_seed(1)
    heads, counted = Heads(8), torch.rand(3, 4, 5) < 0.8
    features = torch.randn(3, 8, 4, 5)
    other = torch.where(counted[:, None], features, 99)
    twin = copy.deepcopy(heads)
    assert torch.equal(heads(features, counted), twin(other, counted))
    for name, buffer in heads.named_buffers():
        assert torch.equal(buffer, twin.get_buffer(name))
    nothing = heads(features.requires_grad_(), torch.zeros_like(counted))
    nothing.backward()
    assert float(nothing.detach()) == 0 and not features.grad.any()
