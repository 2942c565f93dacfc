"""A threshold that keeps its promise for old and new normals alike."""

import numpy as np
import pytest

from rd_core.maps.micro_batch import AnomalyMaps
from storage.filesystem import Store
from tasks.training.calibration import FEWEST_NEW, calibrate_model, calibrate_old_and_new
from tasks.training.normal_images import PixelSource
from tasks.worker.preprocessing import ImageFormat
from tests.factories import SIZE, put_images

ALPHA = 0.1
FORMAT = ImageFormat(SIZE, SIZE, 65535, 1_000_000)


class Brightness:
    """A model whose score is how bright the image is."""

    def score(self, images: np.ndarray) -> AnomalyMaps:
        maps = images.mean(axis=3, dtype=np.float32) / 255
        return AnomalyMaps(maps, maps.max(axis=(1, 2)), np.zeros(len(images), np.float32))


class Pixels(PixelSource):
    """Flat pictures of these shades."""

    def __init__(self, shades: list[int]) -> None:
        self._shades = shades

    def __len__(self) -> int:
        return len(self._shades)

    def of(self, indices: list[int]) -> "Pixels":
        return Pixels([self._shades[index] for index in indices])

    def __getitem__(self, index: int) -> np.ndarray:
        return np.full((8, 8, 3), self._shades[index], np.uint8)


OLD = list(range(10, 70))
BRIGHT, DARK = list(range(200, 230)), list(range(5, 35))


def test_new_normals_that_score_higher_set_the_threshold() -> None:
    new = list(range(len(OLD), len(OLD) + len(BRIGHT)))
    found = calibrate_old_and_new(Brightness(), Pixels(OLD + BRIGHT), new, ALPHA)
    alone = calibrate_model(Brightness(), Pixels(BRIGHT), ALPHA)
    assert found.threshold == alone.threshold
    assert found.threshold.n == len(found.scores) == len(BRIGHT)
    assert found.pixel_threshold == alone.pixel_threshold
    for group in (OLD, BRIGHT):
        assert np.mean(np.array(group) / 255 > found.threshold.value) <= ALPHA
    together = calibrate_model(Brightness(), Pixels(OLD + BRIGHT), ALPHA)
    assert np.mean(np.array(BRIGHT) / 255 > together.threshold.value) > ALPHA


@pytest.mark.parametrize("new", [DARK, BRIGHT[: FEWEST_NEW - 1], []], ids=["lower", "too few", "none"])
def test_otherwise_all_normals_set_it(new: list[int]) -> None:
    places = list(range(len(OLD), len(OLD) + len(new)))
    found = calibrate_old_and_new(Brightness(), Pixels(OLD + new), places, ALPHA)
    assert found.threshold == calibrate_model(Brightness(), Pixels(OLD + new), ALPHA).threshold


def test_a_source_of_some_images_has_those_alone(store: Store) -> None:
    keys = put_images(store, "cloth", ["a.png", "b.png", "c.png"])
    whole = PixelSource(store, keys, FORMAT)
    some = whole.of([2, 0])
    assert len(some) == 2
    np.testing.assert_array_equal(some[0], whole[2])
    np.testing.assert_array_equal(some[1], whole[0])
