"""Against NumPy, and what a covariance cannot be asked for."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from rd_core import normal_memory
from rd_core.normal_memory import ITEMS, RIDGE, CellStatistics, NormalMemory, cell_means, covering

CHANNELS = (3, 2, 4)
WIDTH = sum(CHANNELS)


def stages(seed, images=6, height=64, width=96):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([1.0, 30.0, 0.01])
    return tuple(
        5 + scale[k] * torch.randn(images, c, height // s, width // s, generator=generator)
        for k, (c, s) in enumerate(zip(CHANNELS, (4, 8, 16), strict=True))
    )


def gathered(side, *parts):
    statistics = CellStatistics(side, sum(len(part[0]) for part in parts))
    for part in parts:
        statistics.add(part)
    return statistics


def fitted(side, *parts):
    memory = NormalMemory(CHANNELS, side)
    memory.fit(gathered(side, *parts))
    return memory


def whitened(cells, side, normals):
    """By NumPy: (..., C) -> the same, of unit covariance over the normals."""
    rows = np.concatenate([cell_means(part, side).reshape(-1, WIDTH).numpy() for part in normals]).astype(np.float64)
    inverse = np.linalg.inv(np.corrcoef(rows.T) + RIDGE * np.eye(WIDTH))
    return (cells.numpy() - rows.mean(axis=0)) / rows.std(axis=0) @ np.linalg.cholesky(inverse)


@pytest.mark.parametrize(("side", "shape"), [(16, (4, 6)), (32, (2, 3))])
def test_a_cell_is_the_mean_of_all_stages_over_its_pixels(side, shape):
    features = stages(0, images=2)
    cells = cell_means(features, side)
    assert cells.shape == (2, *shape, WIDTH)
    for first, stage, stride in ((0, 0, 4), (3, 1, 8), (5, 2, 16)):
        n = side // stride
        expected = features[stage][1, 0, n : 2 * n, 2 * n : 3 * n].mean()
        torch.testing.assert_close(cells[1, 1, 2, first], expected)


@pytest.mark.parametrize("side", [16, 32])
def test_it_is_the_distance_from_the_nearest_whitened_cell_of_the_normals(side):
    normals, seen = [stages(1), stages(2, images=3)], stages(3, images=2)
    memory = fitted(side, *normals)
    mine = whitened(cell_means(seen, side), side, normals)
    theirs = np.concatenate([whitened(cell_means(part, side), side, normals).reshape(-1, WIDTH) for part in normals])
    assert len(theirs) < ITEMS  # so all of them are remembered
    expected = cdist(mine.reshape(-1, WIDTH), theirs).min(axis=1).reshape(mine.shape[:3]) / WIDTH**0.5
    np.testing.assert_allclose(memory.unweighed(seen).numpy(), expected, rtol=1e-3)
    memory.weight.fill_(0.25)
    torch.testing.assert_close(memory(seen), memory.unweighed(seen) / 4)


def test_what_is_remembered_is_near_and_as_built_nothing_counts():
    normals = stages(4, images=20)
    memory = fitted(32, normals)
    assert memory.unweighed(normals).max() < 0.01
    assert memory.unweighed(stages(5)).min() > 0.05
    assert (NormalMemory(CHANNELS, 32)(normals) == 0).all()


def test_with_the_mean_as_its_only_item_the_distance_is_mahalanobis():
    """So are the models of before read (see `rd_core.checkpoint`)."""
    normals, seen = stages(1), stages(3, images=2)
    memory = fitted(32, normals)
    memory.items.zero_()
    expected = np.sqrt((whitened(cell_means(seen, 32), 32, [normals]) ** 2).mean(axis=3))
    np.testing.assert_allclose(memory.unweighed(seen).numpy(), expected, rtol=1e-3)


def test_two_images_and_a_channel_that_never_changes_give_finite_distances():
    few = tuple(
        f[:2, :, : 8 * 4 // s, : 8 * 4 // s] for f, s in zip(stages(5), (4, 8, 16), strict=True)
    )  # one cell each
    few[1][:, 0] = 7.3
    memory = fitted(32, few)
    far = tuple(f.clone() for f in few)
    far[1][:, 0] = 8.3
    assert torch.isfinite(memory.unweighed(few)).all()
    assert memory.unweighed(far).max() < 10


def test_what_an_image_gives_does_not_depend_on_the_others():
    memory, features = fitted(16, stages(6)), stages(7)
    alone = torch.cat([memory.unweighed(tuple(f[i : i + 1] for f in features)) for i in range(6)])
    torch.testing.assert_close(memory.unweighed(features), alone)


@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 12))
def test_a_covering_takes_the_farthest_from_those_it_has(seed, points, count):
    cloud = torch.randn(points, 3, generator=torch.Generator().manual_seed(seed))
    chosen = covering(cloud, count).double().numpy()
    assert chosen.shape == (count, 3)
    np.testing.assert_array_equal(chosen[0], cloud[cloud.norm(dim=1).argmin()].double().numpy())
    for taken in range(1, min(count, points)):
        gaps = cdist(cloud.double().numpy(), chosen[:taken]).min(axis=1)
        own = cdist(chosen[taken : taken + 1], chosen[:taken]).min()
        assert own == pytest.approx(gaps.max(), abs=1e-3)


def test_fewer_points_than_asked_for_are_all_there():
    cloud = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    found = covering(cloud, 9)
    assert {tuple(p) for p in found.tolist()} == {tuple(p) for p in cloud.tolist()}


def test_how_the_images_are_grouped_changes_nothing():
    whole = stages(8)
    at_once = gathered(16, whole)
    in_turn = gathered(16, tuple(f[:1] for f in whole), tuple(f[1:4] for f in whole), tuple(f[4:] for f in whole))
    assert torch.equal(at_once.sample(), in_turn.sample())
    for one, other in zip(at_once.moments(), in_turn.moments(), strict=True):
        torch.testing.assert_close(one, other)


def test_of_many_cells_a_sample_of_all_images_is_kept(monkeypatch):
    monkeypatch.setattr(normal_memory, "SAMPLE", 50)
    normals = stages(9, images=20)  # 24 cells each
    found = gathered(16, *(tuple(f[i : i + 5] for f in normals) for i in range(0, 20, 5))).sample()
    cells = cell_means(normals, 16).reshape(-1, WIDTH)
    place = [int((cells == row).all(dim=1).nonzero()) for row in found]
    assert len(set(place)) == 50
    assert min(place) < 100 and max(place) > 380  # from the first images and the last
    rows = cells.double()
    mean, covariance = gathered(16, normals).moments()  # of all, not of the sample
    torch.testing.assert_close(mean, rows.mean(dim=0))
    torch.testing.assert_close(covariance, torch.cov(rows.T, correction=0))
