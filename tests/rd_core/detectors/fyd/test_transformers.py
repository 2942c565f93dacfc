"""Transforms: their bounds, their arithmetic, and the way there and back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from torch import Tensor, nn

from rd_core.detectors.fyd.transformers import (
    Transformer,
    composed,
    counted_after,
    inside,
    inverted,
    places,
    warped,
)

SHIFT, TURN = 0.25, 0.25
BOUNDS = torch.tensor([[TURN, TURN, 2 * SHIFT]] * 2)
"""the widest that settings allow"""
shares = arrays(np.float32, (3, 2, 3), elements=st.floats(-1, 1, width=32))


def transforms(share: np.ndarray) -> Tensor:
    return torch.eye(2, 3) + BOUNDS * torch.from_numpy(share)


def smooth(height: int = 48, width: int = 64) -> Tensor:
    noise = np.random.default_rng(0).normal(size=(1, 2, height, width))
    return torch.from_numpy(ndimage.gaussian_filter(noise, (0, 0, 4, 4)) * 10).float()


@given(shares, shares)
@settings(max_examples=40, deadline=None)
def test_a_transform_and_its_inverse_are_the_identity_and_chains_are_places_of_places(one, other):
    outer, inner = transforms(one), transforms(other)
    for chain in (composed(outer, inverted(outer)), composed(inverted(outer), outer)):
        np.testing.assert_allclose(chain, torch.eye(2, 3).expand(3, 2, 3), atol=1e-5)
    found, first = places(composed(outer, inner), 4, 5), places(inner, 4, 5)
    expected = torch.einsum("bij,bhwj->bhwi", outer[:, :, :2], first) + outer[:, None, None, :, 2]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_is_warped_there_and_back_is_what_it_was_where_it_stayed_within_the_frame():
    image = smooth()
    transform = torch.tensor([[[1.05, -0.08, 0.1], [0.06, 0.94, -0.12]]])
    moved = warped(image, transform)
    assert (moved - image).abs().median() > 0.1
    back = warped(moved, inverted(transform))
    within = inside(inverted(transform), 48, 64)[0]
    assert 0.7 < within.float().mean() < 1
    assert (back - image).abs()[0, :, within].quantile(0.98) < 0.05
    np.testing.assert_allclose(warped(image, torch.eye(2, 3)[None]), image, atol=1e-4)


def test_a_shift_by_whole_pixels_shows_what_lies_there_and_the_outermost_beyond_the_edge():
    image = smooth()
    transform = torch.tensor([[[1.0, 0, 2 * 3 / 64], [0, 1.0, -2 * 2 / 48]]])
    moved = warped(image, transform)
    np.testing.assert_allclose(moved[:, :, 2:, :-3], image[:, :, :-2, 3:], atol=1e-4)
    np.testing.assert_allclose(moved[:, :, 2:, -3:], image[:, :, :-2, -1:].expand(1, 2, 46, 3), atol=1e-4)
    seen = inside(transform, 48, 64)[0]
    assert seen[2:, :-3].all() and not seen[:2].any() and not seen[:, -3:].any()
    counted = torch.ones(1, 48, 64, dtype=torch.bool)
    counted[:, 10:20, 30:] = False
    after = counted_after(counted, transform)[0]
    assert not after[12:22, 27:].any() and after[:12].all() and after[22:].all() and after[:, :26].all()


@pytest.mark.parametrize(("channels", "side"), [(3, 64), (24, 16)])
def test_a_transformer_begins_as_the_identity_and_never_leaves_its_bounds(channels, side):
    torch.manual_seed(0)
    transformer = Transformer(channels, side, 0.1, 0.05)
    images = torch.randn(3, channels, 40, 56)
    with torch.no_grad():
        assert torch.equal(transformer(images), torch.eye(2, 3).expand(3, 2, 3))
        nn.init.normal_(transformer.last.weight, 0, 100)
        found = transformer(images)
        assert (found - torch.eye(2, 3)).abs().amax(dim=0).ge(torch.tensor([[0.04, 0.04, 0.15]] * 2)).any()
        assert ((found - torch.eye(2, 3)).abs() <= torch.tensor([[0.05, 0.05, 0.2]] * 2) + 1e-6).all()
        assert transformer.shares(found).abs().max() <= 1.0001
        transformer.forget()
        assert torch.equal(transformer(images), torch.eye(2, 3).expand(3, 2, 3))
