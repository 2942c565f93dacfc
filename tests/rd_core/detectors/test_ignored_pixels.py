"""What every method promises about ignored pixels: they count in nothing.

The teacher here sees of a position its own pixels alone, so that whatever an ignored region holds must not change a
bit. A real one sees further, but there the image view has filled the region with a constant.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from rd_core.detectors import checkpoint, registry
from rd_core.detectors.detector import CrossFit, Detector, FitRun, Normals
from rd_core.detectors.feature_detector import FeatureDetector
from rd_core.detectors.fyd.detector import FYD
from rd_core.detectors.padim.detector import PaDiM
from rd_core.detectors.patchcore.detector import PatchCore
from rd_core.detectors.patchcore.neighbours import reweighted
from rd_core.detectors.reverse_distillation import descent
from rd_core.detectors.reverse_distillation.cell_discriminator import CellDiscriminator
from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.loss import LOSSES
from rd_core.detectors.spade.detector import Spade
from rd_core.detectors.training import train
from rd_core.detectors.uninformed_students.detector import UninformedStudents
from rd_core.errors import ConfigError
from rd_core.features.backbone import FourthStage, Pretrained, Teacher
from rd_core.features.backbone_spec import teacher_spec
from rd_core.features.cells import CellMoments
from rd_core.features.standardisation import Moments
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.counted_pixels import CountedPixels
from tests.rd_core.batch_company import assert_company_does_not_count
from tests.rd_core.detectors.partly_ignored import PartlyIgnoredImages
from tests.rd_core.detectors.test_contract import CROSS_FIT, SMALL
from tests.rd_core.striped_images import SIZE, textured

WIDTH = 2 * SIZE
SMALL_RD = {"steps": 2, "batch_size": 4, "validate_every": 1, "keep": "best", "magnitude_loss": 0.1}
SETTINGS: dict[str, dict[str, Any]] = {**SMALL, "reverse_distillation": {"training": SMALL_RD, "magnitude": True}}
UNTRAINED: dict[str, dict[str, Any]] = {"fyd": {"steps": 0, "alignment_steps": 0}}
"""where training on half an image would move all features"""
CORNER, EDGE = np.ones((2, SIZE, WIDTH), np.bool_)
CORNER[:48, :80] = False
"""leaves out whole cells of every size, and parts of others"""
EDGE[:, 96:] = False
MASKS = (CORNER, CORNER, EDGE, None)


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
    figures: dict[str, Any]
    judged: dict[int, tuple[Any, ...]]


def fitted(name: str, train_images: Any, early_stop: Any, *, cross: bool = True, **changes: Any) -> Outcome:
    judged: dict[int, tuple[Any, ...]] = {}

    def judge(numbers: Sequence[int], found: AnomalyMaps) -> None:
        judged.update(zip(numbers, zip(*found, strict=True), strict=True))

    parts = [str(number) for number in range(len(train_images) + len(early_stop))]
    sides = {"image_height": SIZE, "image_width": train_images[0].shape[1]}
    settings = registry.settings_of(name, {**sides, **SETTINGS[name], **changes})
    run = FitRun(cross=CrossFit(parts, lambda _: [1], judge) if cross and settings.cross_fits else None)
    result = train(name, settings, Normals(train_images, early_stop), run)
    return Outcome(result.detector, result.report.figures, judged)


def with_ignored(name: str, noise: int, masks: Sequence[NDArray[np.bool_] | None] = MASKS) -> Outcome:
    some = (with_noise_where_ignored(images, noise) for images in (TRAIN, EARLY_STOP))
    return fitted(name, *(PartlyIgnoredImages(images, masks) for images in some))


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
        for builder in ("feature_detector", "mkd.detector", "fyd.detector"):
            patch.setattr(f"rd_core.detectors.{builder}.build_teacher", build)
        patch.setattr("rd_core.detectors.settings.MICRO_BATCH_PIXELS", 4 * SIZE * WIDTH)
        yield


@pytest.fixture(scope="module", params=list(registry.METHODS))
def sample(request: pytest.FixtureRequest) -> tuple[str, Outcome]:
    return request.param, with_ignored(request.param, noise=1)


def test_no_fit_and_no_judgement_of_a_normal_depends_on_what_is_ignored(sample: tuple[str, Outcome]) -> None:
    name, one = sample
    other = with_ignored(name, noise=2)
    assert checkpoint.to_bytes(other.detector) == checkpoint.to_bytes(one.detector)
    assert sorted(one.judged) == (list(range(12)) if name in CROSS_FIT else [])
    for number, found in one.judged.items():
        assert all(np.array_equal(*pair) for pair in zip(found, other.judged[number], strict=True)), number
        mask = MASKS[(number if number < len(TRAIN) else number - len(TRAIN)) % 4]
        assert mask is None or not of_every_pixel(found[0][None])[0][~mask].any(), number


def test_no_score_depends_on_what_is_ignored_and_the_map_is_0_there(sample: tuple[str, Outcome]) -> None:
    _, outcome = sample
    for detector in (outcome.detector, outcome.detector.ready()):
        one, other = (detector.score(with_noise_where_ignored(ASKED, noise), COUNTED) for noise in (1, 2))
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
        maps = of_every_pixel(one.maps)
        assert not maps[~COUNTED].any() and maps[COUNTED].all()
    nothing = outcome.detector.score(ASKED[:1], np.zeros_like(COUNTED[:1]))
    assert not nothing.maps.any() and not nothing.scores.any() and not nothing.feature_distances.any()


def test_no_distance_of_an_ignored_position_spreads_into_the_map(sample: tuple[str, Outcome]) -> None:
    detector, counted = sample[1].detector, CountedPixels(torch.from_numpy(COUNTED))
    if not isinstance(detector, FeatureDetector):
        return  # the method's own tests hold it
    with torch.inference_mode():
        features = detector.features(detector.teacher_features(torch.from_numpy(ASKED), counted), counted)
        distances = detector.distances(features)
        far = tuple(
            own.masked_fill(~counted.on_grid(stride), 99)
            for own, stride in zip(distances, detector.strides, strict=True)
        )
        for one, other in zip(*(detector.detection(features, some) for some in (distances, far)), strict=True):
            assert torch.equal(one, other)


def test_what_counts_is_found(sample: tuple[str, Outcome]) -> None:
    _, outcome = sample
    defective = ASKED[:2].copy()
    defective[:, 52:62, 40:60] = 10
    usual, odd = (outcome.detector.score(images, COUNTED[:2]) for images in (ASKED[:2], defective))
    assert (of_every_pixel(odd.maps)[:, 50:, 36:64].max(axis=(1, 2)) > usual.maps.max(axis=(1, 2))).all()
    assert (odd.scores > usual.scores).all()


def test_a_score_does_not_depend_on_what_is_ignored_of_others(sample: tuple[str, Outcome]) -> None:
    _, outcome = sample
    again = [0, 1, 2, 3, 2]  # the last in a micro-batch of its own
    found = outcome.detector.score(ASKED[again], COUNTED[again])
    together = [values[:4] for values in found]
    assert all(np.array_equal(values[4], values[2]) for values in found)
    for i in range(4):
        alone = outcome.detector.score(ASKED[i : i + 1], COUNTED[i : i + 1])
        assert all(np.array_equal(one, whole[i : i + 1]) for one, whole in zip(alone, together, strict=True))
    assert_company_does_not_count(outcome.detector, ASKED)
    whole = outcome.detector.score(ASKED[3:])
    assert all(np.array_equal(one, some[3:]) for one, some in zip(whole, together, strict=True))


@pytest.mark.parametrize("name", list(registry.METHODS))
def test_what_is_learnt_is_what_the_counted_half_alone_would_teach(name: str) -> None:
    """Ignored positions have features of zero, so counting them changes what is learnt and depends on no content."""
    half = np.ones_like(EDGE)
    half[:, SIZE:] = False
    some = (PartlyIgnoredImages(images, [half]) for images in (TRAIN, EARLY_STOP))
    whole = fitted(name, *some, cross=False, **UNTRAINED.get(name, {})).detector
    if isinstance(whole, UninformedStudents):
        return  # its teacher learns from other patches there; its own tests hold what counts
    left = (TRAIN[:, :, :SIZE], EARLY_STOP[:, :, :SIZE])
    alone = fitted(name, *left, cross=False, **UNTRAINED.get(name, {})).detector
    for buffer, expected in alone.named_buffers():
        if buffer.startswith("standardisation") or buffer.endswith((".mean", ".whitening")) or buffer == "averages":
            np.testing.assert_allclose(whole.get_buffer(buffer), expected, rtol=1e-3, atol=1e-4, err_msg=buffer)
    one, other = whole.score(ASKED, np.stack([half] * 4)), alone.score(np.ascontiguousarray(ASKED[:, :, :SIZE]))
    np.testing.assert_allclose(one.feature_distances, other.feature_distances, rtol=1e-3)
    if isinstance(whole, PaDiM | FYD):
        beyond_smoothing = 40 // whole.settings.map_stride
        maps, expected_maps = (found.maps[:, :, :beyond_smoothing] for found in (one, other))
        np.testing.assert_allclose(maps, expected_maps, rtol=1e-3)
    if isinstance(whole, PatchCore):
        assert whole.memory.shape == alone.memory.shape
        assert (whole.memory + whole.centre).norm(dim=1).min() > 1e-3
        pixels = CountedPixels(torch.from_numpy(~half[None]))
        with torch.inference_mode():
            features = whole.features(whole.teacher_features(torch.from_numpy(ASKED[:1]), pixels), pixels)
            first = whole.patches(features)[0, SIZE // 8] - whole.centre
            score = whole.image_scores(torch.empty(0), features, (torch.zeros(1, *whole.settings.grid),))
            expected = reweighted(first[None], whole.memory, whole.settings.neighbours)
        assert torch.equal(score, expected), "where all distances are 0, the farthest patch is the first that counts"
    if isinstance(whole, Spade):
        assert len(next(whole._gallery([0]))) == half.sum() // 16
        assert torch.equal(whole.gallery_counted, torch.from_numpy(half[::4, ::4].reshape(1, -1)).expand(9, -1))
    if isinstance(whole, ReverseDistillation):
        held = CountedPixels(torch.from_numpy(np.stack([half] * 3)))
        raw = whole.teacher_features(torch.from_numpy(EARLY_STOP), held)
        for discriminator in whole.discriminators:
            odds = discriminator.logits(raw, held)[held.on_grid(discriminator.side)].detach()
            assert float(discriminator.level) == pytest.approx(float(np.quantile(odds, 0.1)), abs=0.01)


def test_each_step_and_moment_of_reverse_distillation_is_told_what_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, list[CountedPixels | None]] = {}

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def watch(*arguments: Any, **more: Any) -> Any:
            given = [one for one in (*arguments, *more.values()) if isinstance(one, CountedPixels)]
            told.setdefault(name, []).append(given[0] if given else None)
            return function(*arguments, **more)

        return watch

    monkeypatch.setitem(LOSSES, "per_position", watched("loss", LOSSES["per_position"]))
    monkeypatch.setattr(descent, "magnitude", watched("magnitude", descent.magnitude))
    for kind, name in (
        (CellDiscriminator, "loss"),
        (CellDiscriminator, "logits"),
        (Moments, "add"),
        (CellMoments, "add"),
    ):
        monkeypatch.setattr(kind, name, watched(f"{kind.__name__}.{name}", getattr(kind, name)))
    some = (PartlyIgnoredImages(images, [CORNER]) for images in (TRAIN, EARLY_STOP))
    fit = fitted("reverse_distillation", *some, cross=False)
    assert fit.figures["mirrored"], "so that mirrored masks are among those above"
    assert len(told) == 6
    for name, given in told.items():
        assert all(one is not None and not one.pixels.flatten(1).all(dim=1).any() for one in given), name


def test_nothing_ignored_is_the_same_said_or_not(sample: tuple[str, Outcome]) -> None:
    name, _ = sample
    said = fitted(
        name, PartlyIgnoredImages(TRAIN, [EDGE | True]), PartlyIgnoredImages(EARLY_STOP, [EDGE | True]), cross=False
    ).detector
    assert checkpoint.to_bytes(said) == checkpoint.to_bytes(fitted(name, TRAIN, EARLY_STOP, cross=False).detector)
    for one, other in zip(said.score(ASKED, COUNTED | True), said.score(ASKED), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("name", list(registry.METHODS))
def test_a_ring_too_narrow_for_coarse_positions_can_be_inspected_but_not_nothing(name: str) -> None:
    ring = np.zeros_like(EDGE)
    ring[24:32] = True
    detector = fitted(
        name, PartlyIgnoredImages(TRAIN, [ring]), PartlyIgnoredImages(EARLY_STOP, [ring]), cross=False
    ).detector
    found = checkpoint.from_bytes(checkpoint.to_bytes(detector)).score(ASKED, np.stack([ring] * 4))
    assert (
        all(np.isfinite(values).all() for values in found)
        and of_every_pixel(found.maps)[:, ring].any()
        and found.scores.all()
    )
    ring[:, 3:] = False
    with pytest.raises(ConfigError, match="the ignored regions of all images leave no 8 x 8 pixels"):
        fitted(name, PartlyIgnoredImages(TRAIN, [ring]), PartlyIgnoredImages(EARLY_STOP, [None]), cross=False)


def test_counted_pixels_of_another_shape_are_refused(sample: tuple[str, Outcome]) -> None:
    _, outcome = sample
    for counted in (COUNTED[:3], COUNTED.astype(np.uint8), COUNTED[:, :-1]):
        with pytest.raises(ValueError, match="so ignored pixels would count"):
            outcome.detector.score(ASKED, counted)
