"""Which normals are trained on mirrored, and how."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rd_core.detectors.reverse_distillation import training
from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.mirroring import MIRRORINGS, WithMirrored, may_be_mirrored
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.pictures.preprocessing import resize
from rd_core.pictures.synthetic_defects import SyntheticDefectImages
from rd_core.pictures.tile_images import RandomCrops
from rd_core.pictures.tiling import Tiling
from tests.rd_core.small_trainings import fit, small
from tests.rd_core.striped_images import SIZE, textured

Change = Callable[[NDArray[np.uint8]], None]


@pytest.fixture(scope="module")
def untrained(small_config: ReverseDistillationSettings) -> ReverseDistillation:
    return ReverseDistillation.build(small_config).eval()


def noise(count: int, seed: int, side: int = SIZE) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(60, 200, (count, side, side, 3), dtype=np.uint8)


def darker_to_the_left(images: NDArray[np.uint8]) -> None:
    images[...] = images * np.linspace(0.5, 1, SIZE)[:, None]


def darker_above(images: NDArray[np.uint8]) -> None:
    images[...] = images * np.linspace(0.5, 1, SIZE)[:, None, None]


def marked_in_a_corner(images: NDArray[np.uint8]) -> None:
    images[:, 2:12, 2:12] = 0
    images[:, 4:10, 4:6] = 255


def test_each_image_comes_as_it_is_and_then_mirrored_in_one_way() -> None:
    images = noise(40, seed=0)
    result = WithMirrored(images, seed=3)
    assert resize(result[79], 32, 32).shape == (32, 32, 3)  # which takes no view that runs backwards
    assert len(result) == 80
    for i in range(40):
        np.testing.assert_array_equal(result[i], images[i])
    taken = [[bool((result[40 + i] == way(images[i])).all()) for way in MIRRORINGS] for i in range(40)]
    assert np.sum(taken, axis=1).tolist() == [1] * 40
    assert np.any(taken, axis=0).all()
    assert all((result[40 + i] == WithMirrored(images, seed=3)[40 + i]).all() for i in range(40))
    assert any((result[40 + i] != WithMirrored(images, seed=4)[40 + i]).any() for i in range(40))
    for way in MIRRORINGS:  # each of them mirrors: twice is nothing, once is something
        np.testing.assert_array_equal(way(way(images[0])), images[0])
        assert (way(images[0]) != images[0]).any()
    assert all((a(images[0]) != b(images[0])).any() for a, b in pairwise([*MIRRORINGS, MIRRORINGS[0]]))


def test_images_that_look_alike_either_way_may_be_mirrored(untrained: ReverseDistillation) -> None:
    assert may_be_mirrored(untrained, noise(16, seed=1), noise(6, seed=2), seed=0)
    assert may_be_mirrored(untrained, textured(16), textured(6, seed=1), seed=0)


@pytest.mark.parametrize("change", [darker_to_the_left, darker_above, marked_in_a_corner])
def test_images_that_tell_their_orientation_may_not(untrained: ReverseDistillation, change: Change) -> None:
    train, held_out = noise(16, seed=1), noise(6, seed=2)
    for images in (train, held_out):
        change(images)
    assert not may_be_mirrored(untrained, train, held_out, seed=0)


def a_third_as_bright_to_the_left_and_odd_in_the_middle(images: NDArray[np.uint8]) -> None:
    """What is odd is farthest from all else, mirrored or not."""
    images[:, :, :48] //= 3
    random = np.random.default_rng(len(images))
    for image in images:
        image[64:96, 64:96] = random.integers(0, 256, (1, 1, 3))
        image[70:90, 70:90] = random.integers(0, 256, (20, 20, 1))


@pytest.mark.parametrize("change", [marked_in_a_corner, a_third_as_bright_to_the_left_and_odd_in_the_middle])
def test_one_cell_and_the_mean_of_all_each_tell_it_alone(change: Change) -> None:
    side = 160  # a mark in one of a hundred cells is hardly seen in their mean
    model = ReverseDistillation.build(small(image_height=side, image_width=side)).eval()
    train, held_out = noise(16, 1, side), noise(6, 2, side)
    assert may_be_mirrored(model, train, held_out, seed=0)
    for images in (train, held_out):
        change(images)
    assert not may_be_mirrored(model, train, held_out, seed=0)


def test_images_of_any_size_are_looked_at_at_the_models(untrained: ReverseDistillation) -> None:
    mixed = [*textured(8), *textured(8, 100, 80)]
    assert may_be_mirrored(untrained, mixed, textured(6, 80, 100, seed=1), seed=0)


class Watched(SyntheticDefectImages):
    """Defective copies that are counted."""

    made: list[tuple[int, int]]

    def __init__(self, images, copies, *of_size_and_seed) -> None:
        super().__init__(images, copies, *of_size_and_seed)
        self.made.append((len(images), len(self)))


@pytest.mark.parametrize(
    ("most", "change", "mirrored"), [(17, None, True), (16, None, False), (17, darker_above, False)]
)
def test_few_normals_are_trained_on_mirrored_if_they_may_be(
    small_config: ReverseDistillationSettings,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    change: Change | None,
    mirrored: bool,
) -> None:
    monkeypatch.setattr(Watched, "made", [], raising=False)
    monkeypatch.setattr(training, "SyntheticDefectImages", Watched)
    train, held_out = noise(16, seed=1), noise(6, seed=2)
    for images in (train, held_out) if change else ():
        change(images)
    settings = small(steps=4, batch_size=8, mirrored_below=most, pseudo_anomalies_in_all=0)
    fitted = fit(settings, train, held_out)
    assert fitted.report.figures["mirrored"] is mirrored
    (images, copies), (early_stop, _) = Watched.made
    assert images == (32 if mirrored else 16)
    assert early_stop == 6
    assert copies == settings.training.synthetic_copies(16) * 16  # in all, mirrored or not


@pytest.mark.parametrize(("most", "mirrored"), [(4, False), (5, True)])
def test_crops_are_as_few_as_the_images_that_they_show(most: int, mirrored: bool) -> None:
    tiling = Tiling(2 * SIZE, 2 * SIZE, SIZE, 0)
    train, held_out = (RandomCrops(noise(count, count, 2 * SIZE), tiling, 4, seed=count) for count in (4, 2))
    fitted = fit(small(steps=2, batch_size=4, mirrored_below=most, pseudo_anomalies=0), train, held_out)
    assert fitted.report.figures["mirrored"] is mirrored


def test_to_look_whether_normals_may_be_mirrored_changes_no_training(
    small_config: ReverseDistillationSettings,
) -> None:
    train, held_out = noise(16, seed=1), noise(6, seed=2)
    for images in (train, held_out):
        darker_above(images)
    one, other = (
        fit(small(steps=2, batch_size=8, mirrored_below=most), train, held_out).detector.state_dict()
        for most in (0, 17)
    )
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
