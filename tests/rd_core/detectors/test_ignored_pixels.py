"""What every method promises about ignored pixels: they count in nothing.

The teacher here sees of a position its own pixels alone, so that whatever an ignored region holds must not change a
bit. A real one sees further, but there the image view has filled the region with a constant.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from rd_core.detectors import checkpoint, registry
from rd_core.detectors.detector import CrossFit, Detector, FitRun, Normals
from rd_core.detectors.training import train
from rd_core.errors import ConfigError
from rd_core.features.backbone import FourthStage, Pretrained, Teacher
from rd_core.features.backbone_spec import teacher_spec
from rd_core.maps.micro_batch import AnomalyMaps
from tests.rd_core.batch_company import assert_company_does_not_count
from tests.rd_core.detectors.test_contract import SMALL
from tests.rd_core.striped_images import SIZE, textured

WIDTH = 2 * SIZE
SMALL_RD = {"steps": 4, "batch_size": 4, "validate_every": 2, "keep": "best", "magnitude_loss": 0.1}
SETTINGS: dict[str, dict[str, Any]] = {**SMALL, "reverse_distillation": {"training": SMALL_RD, "magnitude": True}}
CORNER, EDGE = np.ones((2, SIZE, WIDTH), np.bool_)
CORNER[:48, :80] = False
"""leaves out whole cells of every size, and parts of others"""
EDGE[:, 96:] = False
MASKS = (CORNER, CORNER, EDGE, None)


@dataclass(frozen=True)
class Partly:
    """Images, and what counts of them."""

    images: NDArray[np.uint8]
    masks: Sequence[NDArray[np.bool_] | None]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self.images[index]

    def counted(self, index: int) -> NDArray[np.bool_] | None:
        return self.masks[index % len(self.masks)]


def with_noise_where_ignored(images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    counted = np.stack([np.ones_like(EDGE) if (mask := MASKS[i % 4]) is None else mask for i in range(len(images))])
    return np.where(counted[..., None], images, random.integers(0, 256, images.shape, np.uint8))


TRAIN, EARLY_STOP = textured(9, SIZE, WIDTH), textured(3, SIZE, WIDTH, seed=1)
ASKED = textured(4, SIZE, WIDTH, seed=2)
COUNTED = np.stack([CORNER, CORNER, EDGE, np.ones_like(EDGE)])


def of_every_pixel(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, SIZE, WIDTH), from maps of any stride."""
    stride = WIDTH // maps.shape[2]
    return maps.repeat(stride, axis=1).repeat(stride, axis=2)


@dataclass
class Outcome:
    """A fit's detector, and what its models found in its normals."""

    detector: Detector[Any]
    judged: dict[int, tuple[Any, ...]]


def fitted(name: str, train_images: Any, early_stop: Any, *, cross: bool = True) -> Outcome:
    judged: dict[int, tuple[Any, ...]] = {}

    def judge(numbers: Sequence[int], found: AnomalyMaps) -> None:
        judged.update(zip(numbers, zip(*found, strict=True), strict=True))

    parts = [str(number) for number in range(len(train_images) + len(early_stop))]
    settings = registry.settings_of(name, {"image_height": SIZE, "image_width": WIDTH, **SETTINGS[name]})
    run = FitRun(cross=CrossFit(parts, lambda _: [1], judge) if cross else None)
    return Outcome(train(name, settings, Normals(train_images, early_stop), run).detector, judged)


def with_ignored(name: str, noise: int, masks: Sequence[NDArray[np.bool_] | None] = MASKS) -> Outcome:
    some = (with_noise_where_ignored(images, noise) for images in (TRAIN, EARLY_STOP))
    return fitted(name, *(Partly(images, masks) for images in some))


@pytest.fixture(scope="module", autouse=True)
def _teacher_without_neighbours() -> Iterator[None]:
    """A stage's position sees its 4, 8 or 16 pixels a side."""
    spec = teacher_spec("efficientnet_lite0")
    widths = (3, *spec.channels, spec.embedding_channels)

    def build(*_: object, **__: object) -> Pretrained:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(8)
            first, second, third, fourth = (
                nn.Sequential(nn.Conv2d(few, many, side, side), nn.LeakyReLU(0.5))
                for few, many, side in zip(widths, widths[1:], (4, 2, 2, 2), strict=False)
            )
        return Pretrained(Teacher(spec, (first, second, third)), FourthStage((fourth,)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rd_core.detectors.feature_detector.build_teacher", build)
        yield


@pytest.fixture(scope="module", params=list(registry.METHODS))
def sample(request: pytest.FixtureRequest) -> tuple[str, Outcome]:
    return request.param, with_ignored(request.param, noise=1)


def test_no_fit_and_no_judgement_of_a_normal_depends_on_what_is_ignored(sample: tuple[str, Outcome]) -> None:
    name, one = sample
    other = with_ignored(name, noise=2)
    assert checkpoint.to_bytes(other.detector) == checkpoint.to_bytes(one.detector)
    assert sorted(one.judged) == list(range(12))
    for number, found in one.judged.items():
        assert all(np.array_equal(*pair) for pair in zip(found, other.judged[number], strict=True)), number


def test_no_score_depends_on_what_is_ignored_and_the_map_is_0_there(sample: tuple[str, Outcome]) -> None:
    _, outcome = sample
    for detector in (outcome.detector, outcome.detector.ready()):
        one, other = (detector.score(with_noise_where_ignored(ASKED, noise), COUNTED) for noise in (1, 2))
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
        maps = of_every_pixel(one.maps)
        assert not maps[~COUNTED].any() and maps[COUNTED].all()
    nothing = outcome.detector.score(ASKED[:1], np.zeros_like(COUNTED[:1]))
    assert not nothing.maps.any() and not nothing.scores.any() and not nothing.feature_distances.any()


def test_what_counts_is_found(sample: tuple[str, Outcome]) -> None:
    _, outcome = sample
    defective = ASKED[:2].copy()
    defective[:, 52:62, 40:60] = 10
    usual, odd = (outcome.detector.score(images, COUNTED[:2]) for images in (ASKED[:2], defective))
    assert (of_every_pixel(odd.maps)[:, 50:, 36:64].max(axis=(1, 2)) > usual.maps.max(axis=(1, 2))).all()
    assert (odd.scores > usual.scores).all()


def test_a_score_does_not_depend_on_what_is_ignored_of_others(sample: tuple[str, Outcome]) -> None:
    _, outcome = sample
    together = outcome.detector.score(ASKED, COUNTED)
    for i in range(4):
        alone = outcome.detector.score(ASKED[i : i + 1], COUNTED[i : i + 1])
        assert all(np.array_equal(one, whole[i : i + 1]) for one, whole in zip(alone, together, strict=True))
    assert_company_does_not_count(outcome.detector, ASKED)
    whole = outcome.detector.score(ASKED[3:])
    assert all(np.array_equal(one, some[3:]) for one, some in zip(whole, together, strict=True))


def test_nothing_ignored_is_the_same_said_or_not(sample: tuple[str, Outcome]) -> None:
    name, _ = sample
    said, unsaid = (
        fitted(name, Partly(TRAIN, [EDGE | True]), Partly(EARLY_STOP, [EDGE | True])),
        fitted(name, TRAIN, EARLY_STOP),
    )
    assert checkpoint.to_bytes(said.detector) == checkpoint.to_bytes(unsaid.detector)
    for number, found in unsaid.judged.items():
        assert all(np.array_equal(*pair) for pair in zip(found, said.judged[number], strict=True)), number


@pytest.mark.parametrize("name", list(registry.METHODS))
def test_a_ring_too_narrow_for_coarse_positions_can_be_inspected_but_not_nothing(name: str) -> None:
    ring = np.zeros_like(EDGE)
    ring[24:32] = True
    detector = fitted(name, Partly(TRAIN, [ring]), Partly(EARLY_STOP, [ring]), cross=False).detector
    found = checkpoint.from_bytes(checkpoint.to_bytes(detector)).score(ASKED, np.stack([ring] * 4))
    assert (
        all(np.isfinite(values).all() for values in found)
        and of_every_pixel(found.maps)[:, ring].any()
        and found.scores.all()
    )
    ring[:, 3:] = False
    with pytest.raises(ConfigError, match="the ignored regions of all images leave no 8 x 8 pixels"):
        fitted(name, Partly(TRAIN, [ring]), Partly(EARLY_STOP, [None]), cross=False)


def test_counted_pixels_of_another_shape_are_refused(sample: tuple[str, Outcome]) -> None:
    _, outcome = sample
    for counted in (COUNTED[:3], COUNTED.astype(np.uint8), COUNTED[:, :-1]):
        with pytest.raises(ValueError, match="so ignored pixels would count"):
            outcome.detector.score(ASKED, counted)
