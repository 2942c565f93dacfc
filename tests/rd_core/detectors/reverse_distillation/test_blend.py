import numpy as np
import pytest
import torch

from rd_core.detectors.reverse_distillation.blend import Blend, best_share, squared_distance
from rd_core.detectors.reverse_distillation.loss import cosine_distance


def features(seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, c, s, s, generator=generator) for c, s in ((4, 8), (6, 4)))


def test_the_squared_distance_is_the_mean_over_channels():
    (t, _), (s, _) = features(0), features(1)
    expected = ((t.numpy().astype(float) - s.numpy()) ** 2).mean(axis=1)
    np.testing.assert_allclose(squared_distance(t, s).numpy(), expected, atol=1e-5)


def test_as_built_a_blend_is_the_papers_distance():
    teacher, student = features(0), features(1)
    for result, t, s in zip(Blend(2)(teacher, student), teacher, student, strict=True):
        torch.testing.assert_close(result, cosine_distance(t, s), rtol=0, atol=1e-6)


def test_features_that_agree_or_are_all_zero_are_told_as_such():
    (t, u), _ = features(0), features(1)
    blend = Blend(2)
    blend.set(0.5, torch.ones(2), torch.ones(2))
    for result in blend((t, u), (t.clone(), u.clone())):
        assert (result >= 0).all() and result.max() < 1e-6
    nothing = torch.zeros_like(t)
    expected = (cosine_distance(t, nothing) + squared_distance(t, nothing)) / 4
    torch.testing.assert_close(blend((t, u), (nothing, u))[0], expected)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_set_blend_weighs_each_kind_by_its_share_and_its_usual_peak(share):
    teacher, student = features(0), features(1)
    blend = Blend(2)
    blend.set(share, torch.tensor([0.5, 2.0]), torch.tensor([3.0, 4.0]))
    for k, (result, t, s) in enumerate(zip(blend(teacher, student), teacher, student, strict=True)):
        direction, magnitude = (0.5, 2.0)[k], (3.0, 4.0)[k]
        expected = (1 - share) * cosine_distance(t, s) / (2 * direction)
        expected = expected + share * squared_distance(t, s) / (2 * magnitude)
        torch.testing.assert_close(result, expected)


@pytest.mark.parametrize(("telling", "share"), [(0, 0.0), (1, 1.0)])
def test_the_best_share_is_that_of_the_kind_that_tells(telling, share):
    generator = torch.Generator().manual_seed(0)
    normal = 1 + 0.1 * torch.rand(20, 2, 6, 6, generator=generator)
    defective = 1 + 0.1 * torch.rand(40, 2, 6, 6, generator=generator)
    defective[:, telling, 2, 3] += 0.15
    assert best_share(normal, defective) == share


def test_two_kinds_that_tell_different_defects_are_both_used():
    generator = torch.Generator().manual_seed(0)
    normal = 1 + 0.1 * torch.rand(20, 2, 6, 6, generator=generator)
    defective = 1 + 0.1 * torch.rand(40, 2, 6, 6, generator=generator)
    defective[:20, 0, 2, 3] += 0.4
    defective[20:, 1, 2, 3] += 0.4
    assert 0.2 <= best_share(normal, defective) <= 0.8
