"""Against NumPy, and what a covariance cannot be asked for."""

import numpy as np
import pytest
import torch

from rd_core.coarse_distance import RIDGE, CellMoments, CoarseDistance, cell_means

CHANNELS = (3, 2, 4)


def stages(seed, images=6, height=64, width=96):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([1.0, 30.0, 0.01])
    return tuple(
        5 + scale[k] * torch.randn(images, c, height // s, width // s, generator=generator)
        for k, (c, s) in enumerate(zip(CHANNELS, (4, 8, 16), strict=True))
    )


def fitted(*parts):
    moments, distance = CellMoments(), CoarseDistance(CHANNELS)
    for part in parts:
        moments.add(part)
    distance.fit(moments)
    return distance


def test_a_cell_is_the_mean_of_all_stages_over_32_pixels():
    features = stages(0, images=2)
    cells = cell_means(features)
    assert cells.shape == (2, sum(CHANNELS), 2, 3)
    for first, stage, side in ((0, 0, 8), (3, 1, 4), (5, 2, 2)):
        expected = features[stage][1, 0, side : 2 * side, 2 * side :].mean()
        torch.testing.assert_close(cells[1, first, 1, 2], expected)


def test_it_is_the_mahalanobis_distance_of_a_ridged_correlation():
    normals, seen = [stages(1), stages(2)], stages(3, images=2)
    distance = fitted(*normals)
    rows = np.concatenate(
        [cell_means(part).permute(0, 2, 3, 1).reshape(-1, sum(CHANNELS)).numpy() for part in normals]
    )
    rows = rows.astype(np.float64)
    deviation = rows.std(axis=0)
    inverse = np.linalg.inv(np.corrcoef(rows.T) + RIDGE * np.eye(sum(CHANNELS)))
    away = (cell_means(seen).permute(0, 2, 3, 1).numpy() - rows.mean(axis=0)) / deviation
    expected = np.sqrt(np.einsum("bhwc,cd,bhwd->bhw", away, inverse, away) / sum(CHANNELS))
    np.testing.assert_allclose(distance.unweighed(seen).numpy(), expected, rtol=1e-3)
    distance.weight.fill_(0.25)
    torch.testing.assert_close(distance(seen), distance.unweighed(seen) / 4)


def test_normals_lie_about_1_away_and_as_built_nothing_counts():
    normals = stages(4, images=40)
    assert fitted(normals).unweighed(normals).square().mean() == pytest.approx(1, abs=0.05)
    assert (CoarseDistance(CHANNELS)(normals) == 0).all()


def test_two_images_and_a_channel_that_never_changes_give_finite_distances():
    few = tuple(
        f[:2, :, : 8 * 4 // s, : 8 * 4 // s] for f, s in zip(stages(5), (4, 8, 16), strict=True)
    )  # one cell each
    few[1][:, 0] = 7.3
    distance = fitted(few)
    far = tuple(f.clone() for f in few)
    far[1][:, 0] = 8.3
    assert torch.isfinite(distance.unweighed(few)).all()
    assert distance.unweighed(far).max() < 10


def test_what_an_image_gives_does_not_depend_on_the_others():
    distance, features = fitted(stages(6)), stages(7)
    alone = torch.cat([distance.unweighed(tuple(f[i : i + 1] for f in features)) for i in range(6)])
    torch.testing.assert_close(distance.unweighed(features), alone)
