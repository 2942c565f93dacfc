"""Models of before the discriminator hold one: against SciPy, with any items and with those of a covariance alone."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from rd_core.cells import cell_means
from rd_core.normal_memory import NormalMemory
from tests.rd_core.drawn_stages import CHANNELS, WIDTH, stages


def remembering(side: int) -> NormalMemory:
    memory = NormalMemory(CHANNELS, side)
    generator = torch.Generator().manual_seed(4)
    for buffer, scale in ((memory.mean, 1.0), (memory.whitening, 0.2), (memory.items, 3.0)):
        buffer.normal_(0, scale, generator=generator)
    memory.weight.fill_(0.25)
    return memory


def expected(memory: NormalMemory, features: tuple[torch.Tensor, ...]) -> np.ndarray:
    cells = cell_means(features, memory.side).double()
    white = ((cells - memory.mean) @ memory.whitening.double()).numpy()
    far = cdist(white.reshape(-1, WIDTH), memory.items.double().numpy()).min(axis=1) / WIDTH**0.5
    return float(memory.weight) * far.reshape(white.shape[:3])


@pytest.mark.parametrize("side", [16, 32])
def test_it_is_the_distance_from_the_nearest_item(side):
    memory, seen = remembering(side), stages(3, images=2)
    np.testing.assert_allclose(memory(seen).numpy(), expected(memory, seen), rtol=1e-3)


def test_with_the_mean_as_its_only_item_the_distance_is_mahalanobis():
    """So are models of one covariance read (see `rd_core.checkpoint`)."""
    memory, seen = remembering(32), stages(3, images=2)
    memory.items.zero_()
    white = (cell_means(seen, 32) - memory.mean) @ memory.whitening
    np.testing.assert_allclose(memory(seen).numpy(), 0.25 * white.square().mean(dim=3).sqrt().numpy(), rtol=1e-3)


def test_what_an_image_gives_does_not_depend_on_the_others():
    memory, features = remembering(16), stages(7)
    alone = torch.cat([memory(tuple(f[i : i + 1] for f in features)) for i in range(6)])
    torch.testing.assert_close(memory(features), alone)


def test_as_built_it_counts_for_nothing():
    assert (NormalMemory(CHANNELS, 32)(stages(4)) == 0).all()
