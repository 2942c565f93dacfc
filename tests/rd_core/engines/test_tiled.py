"""Pictures scored in tiles."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from rd_core.detectors.detector import Normals
from rd_core.detectors.patchcore.settings import PatchCoreSettings
from rd_core.detectors.training import Fitted, train
from rd_core.engines.tiled import Tiled
from rd_core.maps.joining import JoinedTiles
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.tiling import Place, Tiling
from tests.rd_core.batch_company import assert_company_does_not_count
from tests.rd_core.pictures.test_tiling import tilings
from tests.rd_core.striped_images import SIZE, textured, with_blot


@dataclass
class Brightness:
    """An engine whose map is the picture's first channel, and whose score the mean of its first row."""

    stride: int = 1
    batches: list[int] = field(default_factory=list)

    def score(self, images: NDArray[np.uint8], counted: NDArray[np.bool_] | None = None) -> AnomalyMaps:
        self.batches.append(len(images))
        maps = images[:, :: self.stride, :: self.stride, 0].astype(np.float32)
        if counted is not None:
            maps *= counted[:, :: self.stride, :: self.stride]
        return AnomalyMaps(maps, images[:, 0, :, 0].mean(axis=1, dtype=np.float32), maps.mean(axis=(1, 2)))


def detector(tile: int, *, maximum_is_score: bool = True, micro_batch: int = 4) -> Any:
    class Stub:
        score_is_map_maximum = maximum_is_score
        settings = type("Settings", (), {"micro_batch": micro_batch})

    return Stub()


@given(tilings())
@settings(max_examples=40)
def test_a_map_that_all_tiles_agree_on_is_their_map_at_any_stride(tiling: Tiling) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, tiling.height, tiling.width, 3), dtype=np.uint8)
    for stride in (1, 2, 4):
        found = Tiled(Brightness(stride), tiling, detector(tiling.tile)).score(images)
        np.testing.assert_allclose(found.maps, images[:, ::stride, ::stride, 0], rtol=1e-6)
        np.testing.assert_array_equal(found.scores, found.maps.max(axis=(1, 2)))


def test_micro_batches_are_filled_with_tiles_of_any_picture() -> None:
    tiling, inner = Tiling(64, 160, 64, 16), Brightness()
    Tiled(inner, tiling, detector(64)).score(np.zeros((5, 64, 160, 3), np.uint8))
    assert len(tiling.places) == 3 and inner.batches == [4, 4, 4, 3]


def test_without_pictures_there_are_maps_of_their_size() -> None:
    found = Tiled(Brightness(2), Tiling(64, 160, 64, 16), detector(64)).score(np.zeros((0, 64, 160, 3), np.uint8))
    assert found.maps.shape == (0, 32, 80) and found.scores.shape == (0,)


def test_a_score_that_is_no_maps_maximum_is_that_of_the_tiles_at_the_maximum_and_a_distance_their_mean() -> None:
    tiling = Tiling(64, 128, 64, 0)
    images = np.zeros((1, 64, 128, 3), np.uint8)
    images[0, 0, 64:] = 100
    found = Tiled(Brightness(), tiling, detector(64, maximum_is_score=False)).score(images)
    assert found.scores.tolist() == [100] and found.feature_distances.tolist() == [pytest.approx(100 / 128)]


def test_a_tiles_inner_edge_is_its_neighbours_alone_and_weights_change_little_by_little() -> None:
    tiling = Tiling(64, 112, 64, 16)
    values = np.zeros((64, 112), np.float32)
    joined = JoinedTiles(tiling, values, maximum_is_score=True)
    joined.add(Place(0, 48), np.ones((64, 64), np.float32), 1, 1)
    assert values[0, 48:52].max() < 1e-6 and values[0, 60:].min() > 1 - 1e-6
    assert np.diff(values[0]).max() < 0.2 and (values == values[0]).all()


def test_where_a_map_peaks_in_two_tiles_their_scores_are_averaged_by_their_weights() -> None:
    values = np.zeros((64, 96), np.float32)
    joined = JoinedTiles(Tiling(64, 96, 64, 32), values, maximum_is_score=False)
    peak = np.zeros((64, 64), np.float32)
    peak[5, 48] = peak[5, 16] = 1
    joined.add(Place(0, 0), np.where(np.arange(64) == 48, peak, 0), np.float32(10), np.float32(1))
    joined.add(Place(0, 32), np.where(np.arange(64) == 16, peak, 0), np.float32(20), np.float32(3))
    result = joined.result()
    assert result.maps[0].argmax() == 5 * 96 + 48 and result.maps.max() == pytest.approx(1)
    assert result.scores[0] == pytest.approx(15, abs=0.5) and result.feature_distances.tolist() == [2]


@pytest.mark.slow
def test_the_score_of_a_flaw_that_moves_across_a_seam_spreads_below_5_per_cent() -> None:
    """With the default network, tile and overlap; what surrounds the flaw moves with it."""
    tiling = Tiling(256, 448, 256, 64)
    grain = gaussian_filter(np.random.default_rng(0).normal(size=(256, 4_000)), (1, 6)) * 120 + 128
    strip = np.clip(grain, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    crops = np.stack([strip[:, left : left + 256] for left in range(1_000, 3_700, 110)])
    model = train("patchcore", PatchCoreSettings(), Normals(crops[:20], crops[20:])).detector.ready()
    strip[94:106, 494:506] = strip[94:106, 494:506] * 0.7
    moved = np.stack([strip[:, 500 - at :][:, :448] for at in range(128, 321, 16)])  # in steps of the coarsest grid
    found = Tiled(model, tiling, model).score(moved)
    for values in (found.scores, found.maps.max(axis=(1, 2))):
        assert np.ptp(values) < 0.05 * values.mean()
    assert len({place.left for place in tiling.places}) == 2


def test_one_tile_changes_no_bit(fitted: Fitted) -> None:
    images, ready = with_blot(textured(3, seed=5)), fitted.detector.ready()
    tiled = Tiled(ready, Tiling(SIZE, SIZE, SIZE, 16), ready)
    for mine, expected in zip(tiled.score(images), ready.score(images), strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_a_picture_does_not_depend_on_its_company(fitted: Fitted) -> None:
    ready = fitted.detector.ready()
    tiled = Tiled(ready, Tiling(SIZE, 2 * SIZE + 20, SIZE, 16), ready)
    images = textured(3, SIZE, 2 * SIZE + 20, seed=5)
    images[1:] = with_blot(images[1:])
    assert_company_does_not_count(tiled, images)
    assert tiled.score(images).scores.argmin() == 0


def test_tiles_without_a_pixel_that_counts_are_left_out_and_others_are_told_what_counts() -> None:
    tiling, inner = Tiling(64, 256, 64, 16), Brightness()
    images = np.full((2, 64, 256, 3), 7, np.uint8)
    counted = np.zeros((2, 64, 256), np.bool_)
    counted[1, 10:, 200:] = True
    found = Tiled(inner, tiling, detector(64)).score(images, counted)
    assert inner.batches == [2] and found.scores.tolist() == [0, 7]
    np.testing.assert_allclose(found.maps, 7 * counted, rtol=1e-6)
