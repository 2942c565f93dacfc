import numpy as np
import pytest
import torch

from rd_core.detectors.reverse_distillation.loss import cosine_distance, flattened, magnitude, per_position
from rd_core.pictures.counted_pixels import CountedPixels, zeroed


@pytest.fixture
def features():
    random = torch.Generator().manual_seed(0)
    shapes = [(2, 5, 8, 6), (2, 7, 4, 3), (2, 9, 2, 2)]
    return [tuple(torch.randn(shape, generator=random) for shape in shapes) for _ in range(2)]


def reference_distance(t, s):
    t, s = t.double().numpy(), s.double().numpy()
    return 1 - (t * s).sum(1) / (np.linalg.norm(t, axis=1) * np.linalg.norm(s, axis=1))


def test_cosine_distance_is_equation_1(features):
    for t, s in zip(*features, strict=True):
        np.testing.assert_allclose(cosine_distance(t, s).numpy(), reference_distance(t, s), atol=1e-5)


def test_per_position_is_equation_2(features):
    expected = sum(reference_distance(t, s).mean() for t, s in zip(*features, strict=True))
    assert float(per_position(*features)) == pytest.approx(expected, abs=1e-5)


def test_flattened_takes_a_whole_map_as_one_vector(features):
    expected = 0.0
    for t, s in zip(*features, strict=True):
        a, b = t.double().flatten(1).numpy(), s.double().flatten(1).numpy()
        cosines = [(x @ y) / (np.linalg.norm(x) * np.linalg.norm(y)) for x, y in zip(a, b, strict=True)]
        expected += 1 - np.mean(cosines)
    assert float(flattened(*features)) == pytest.approx(expected, abs=1e-5)


def test_only_per_position_is_blind_to_a_positions_strength(features):
    teacher, student = features
    random = torch.Generator().manual_seed(1)
    stronger = tuple(s * torch.rand(s.shape[0], 1, *s.shape[2:], generator=random).add(0.1) for s in student)
    assert float(per_position(teacher, stronger)) == pytest.approx(float(per_position(teacher, student)), abs=1e-5)
    assert abs(float(flattened(teacher, stronger)) - float(flattened(teacher, student))) > 1e-3


def test_losses_are_those_of_the_positions_that_count():
    random = torch.Generator().manual_seed(1)
    teacher, student = ([torch.randn(2, 3, 64 // s, 96 // s, generator=random) for s in (4, 8, 16)] for _ in range(2))
    counted = CountedPixels(torch.zeros(2, 64, 96, dtype=torch.bool))
    counted.pixels[:, :48, :64] = True
    own = tuple(zeroed(t, counted, s) for t, s in zip(teacher, (4, 8, 16), strict=True))
    alone = [
        tuple(f[:, :, : 48 // s, : 64 // s] for f, s in zip(some, (4, 8, 16), strict=True)) for some in (own, student)
    ]
    for loss in (per_position, flattened, magnitude):
        assert float(loss(own, student, counted)) == pytest.approx(float(loss(*alone, None)), rel=1e-5)
    nothing = CountedPixels(torch.zeros(2, 64, 96, dtype=torch.bool))
    assert float(per_position(own, student, nothing)) == 0
