import numpy as np
import torch

from rd_core.features.standardisation import Moments, Standardisation


def test_fitted_features_have_mean_0_and_deviation_1_per_channel():
    random = torch.Generator().manual_seed(0)
    parts = [tuple(torch.randn(n, c, 6, 5, generator=random) * 3 + 100 for c in (4, 2)) for n in (3, 5)]
    moments, layer = Moments(), Standardisation((4, 2))
    for part in parts:
        moments.add(part)
    layer.fit(moments)
    for stage in (0, 1):
        values = torch.cat([layer(part)[stage] for part in parts]).double().numpy()
        np.testing.assert_allclose(values.mean(axis=(0, 2, 3)), 0, atol=1e-4)
        np.testing.assert_allclose(values.std(axis=(0, 2, 3)), 1, atol=1e-4)


def test_a_constant_channel_is_centred_and_not_blown_up():
    moments, layer = Moments(), Standardisation((1,))
    moments.add((torch.full((2, 1, 4, 4), 7.3),))
    layer.fit(moments)
    assert layer((torch.full((1, 1, 4, 4), 7.3),))[0].abs().max() < 1e-4
    assert layer((torch.full((1, 1, 4, 4), 8.3),))[0].max() < 1.1
