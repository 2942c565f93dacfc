"""MKD beside its formulas."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

from rd_core.detectors.detector import Normals
from rd_core.detectors.mkd import training
from rd_core.detectors.mkd.cloner import Cloner
from rd_core.detectors.mkd.detector import MKD
from rd_core.detectors.mkd.loss import STRIDES, stage_losses
from rd_core.detectors.mkd.settings import MKDSettings
from rd_core.detectors.training import train
from rd_core.engines.engine import computed_by
from rd_core.engines.measurement import refuse_impossible
from rd_core.errors import ConfigError, EngineUnavailable, TrainingDiverged
from rd_core.features.backbone_spec import teacher_spec
from rd_core.pictures.counted_pixels import CountedPixels
from tests.rd_core.batch_company import assert_company_does_not_count
from tests.rd_core.striped_images import SIZE, textured, with_blot

pytestmark = pytest.mark.usefixtures("small_micro_batches")
SMALL: dict[str, Any] = {"steps": 6, "batch_size": 4, "validate_every": 2, "patience": 0, "cloner_width": 8}
NORMALS = Normals(textured(6), textured(3, seed=1))
IMAGES = np.concatenate([textured(2, seed=7), with_blot(textured(1, seed=8))])


def settings(**changes: Any) -> MKDSettings:
    return MKDSettings(image_height=SIZE, image_width=SIZE, **{**SMALL, **changes})


def fit(**changes: Any) -> MKD:
    return train("mkd", settings(**changes), NORMALS).detector


@pytest.fixture(scope="module")
def mkd() -> MKD:
    return fit()


def retuned(mkd: MKD, **changes: Any) -> MKD:
    """The same weights with another map."""
    other = MKD.build(settings(**changes), pretrained=False)
    other.load_state_dict(mkd.state_dict())
    return other.eval()


def by_hand(source: list[NDArray], cloner: list[NDArray], masks: list[NDArray], weight: float) -> float:
    """Of one image: stages (C, h, w), and what counts of each."""
    total = 0.0
    for wanted, given, mask in zip(source, cloner, masks, strict=True):
        if mask.any():
            a, b = wanted[:, mask].ravel(), given[:, mask].ravel()
            total += 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) + weight * ((a - b) ** 2).mean()
    return total


def test_an_images_loss_is_that_of_the_formulas_over_what_counts() -> None:
    random = np.random.default_rng(0)
    shapes = [(3, 16, 24), (5, 8, 12), (7, 4, 6), (9, 2, 3)]
    source, cloner = ([random.normal(size=(3, *shape)) for shape in shapes] for _ in range(2))
    pixels = np.ones((3, 64, 96), np.bool_)
    pixels[0, :40, :50] = False
    pixels[1] = False
    counted = CountedPixels(torch.from_numpy(pixels))
    grids = [counted.on_grid(stride).numpy() for stride in STRIDES]
    held = [
        [torch.from_numpy(np.where(grid[:, None], stage, 0)).float() for stage, grid in zip(some, grids, strict=True)]
        for some in (source, cloner)
    ]
    losses = stage_losses(*held, 0.5, counted)
    expected = [by_hand(*([s[i] for s in some] for some in (source, cloner, grids)), 0.5) for i in range(3)]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert expected[1] == 0 and grids[3][0].sum() < 6
    whole = [[torch.from_numpy(stage).float() for stage in some] for some in (source, cloner)]
    expected = [
        by_hand(*([s[i] for s in some] for some in (source, cloner)), [g[i] | True for g in grids], 2)
        for i in range(3)
    ]
    np.testing.assert_allclose(stage_losses(*whole, 2.0, None), expected, rtol=1e-5)


def scored_loss(mkd: MKD, shown: torch.Tensor) -> torch.Tensor:
    """Losses (B,) of normalised images by the last three stages."""
    with torch.no_grad():
        targets, outputs = mkd._targets(mkd._source(shown, None), None), mkd.cloner(shown)
        return stage_losses(targets[1:], outputs[1:], mkd.settings.value_weight, None)


def test_a_score_is_the_loss_of_the_last_three_stages_of_four(mkd: MKD) -> None:
    shown = mkd.normalisation(torch.from_numpy(IMAGES))
    scored = mkd.score(IMAGES)
    np.testing.assert_allclose(scored.scores, scored_loss(mkd, shown), rtol=1e-4)
    images, *raw = mkd.teacher_features(torch.from_numpy(IMAGES))
    with torch.no_grad():
        all_four = mkd.training_losses(images, tuple(raw), None)
    assert (all_four > torch.from_numpy(scored.scores) + 0.01).all()
    assert not mkd.score_is_map_maximum and (scored.scores != scored.maps.max(axis=(1, 2))).all()


def test_the_maps_gradients_are_finite_differences_of_the_score(mkd: MKD) -> None:
    shown = mkd.normalisation(torch.from_numpy(IMAGES[2:]))
    _, gradients = mkd._loss_and_gradients(shown, None)
    step = 2e-4  # beyond which activations have kinks
    for place in gradients[0].flatten().topk(200).indices[::40].tolist():
        row, column = divmod(place, SIZE)
        total = 0.0
        for colour in range(3):
            moved = shown.repeat(2, 1, 1, 1)
            moved[0, colour, row, column] += step
            moved[1, colour, row, column] -= step
            above, below = scored_loss(mkd, moved).double()
            total += abs(float(above - below)) / (2 * step)
        assert total == pytest.approx(float(gradients[0, row, column]), rel=0.05)


@pytest.mark.parametrize("stride", [1, 4])
def test_a_map_is_smoothed_opened_and_averaged(mkd: MKD, stride: int) -> None:
    other = retuned(mkd, map_stride=stride, smoothing_sigma=2.0)
    shown = other.normalisation(torch.from_numpy(IMAGES))
    _, gradients = other._loss_and_gradients(shown, None)
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    for image, result in zip(gradients.double().numpy(), other.score(IMAGES).maps, strict=True):
        smoothed = ndimage.gaussian_filter(image, 2.0)
        expected = ndimage.grey_opening(smoothed, footprint=cross).reshape(SIZE // stride, stride, -1, stride)
        np.testing.assert_allclose(result, float(other.map_scale) * expected.mean(axis=(1, 3)), rtol=1e-3)


def test_normals_peaks_fill_the_range_of_stored_maps(mkd: MKD) -> None:
    peak = mkd.score(NORMALS.early_stop).maps.max()
    assert 0.5 < peak <= 1 and float(mkd.map_scale).hex().startswith("0x1.0000000000000p+")


def test_smooth_gradients_are_the_mean_over_copies_and_one_images_own(mkd: MKD) -> None:
    smooth = retuned(mkd, map_gradients="smooth", noisy_copies=3, noise=0.1)
    assert_company_does_not_count(smooth, IMAGES[1:])
    found, plain = smooth.score(IMAGES), mkd.score(IMAGES)
    assert np.array_equal(found.scores, plain.scores) and not np.array_equal(found.maps, plain.maps)
    assert np.array_equal(found.maps, smooth.score(IMAGES).maps)
    shown = smooth.normalisation(torch.from_numpy(IMAGES[:1]))
    copies = list(smooth._noisy_copies(shown, None))
    reach = float(shown.max() - shown.min())
    assert all(float((copy - shown).std()) == pytest.approx(0.1 * reach, rel=0.03) for copy in copies)
    mean = torch.stack([smooth._loss_and_gradients(copy, None)[1] for copy in copies]).mean(dim=0)
    np.testing.assert_allclose(smooth.map_scale * smooth._map(mean, None), found.maps[:1], rtol=1e-3)
    little = retuned(mkd, map_gradients="smooth", noisy_copies=2, noise=1e-6)
    np.testing.assert_allclose(little.score(IMAGES).maps, plain.maps, rtol=0.02)


def test_noise_reaches_as_far_as_what_counts(mkd: MKD) -> None:
    smooth = retuned(mkd, map_gradients="smooth", noisy_copies=1)
    counted = np.ones((1, SIZE, SIZE), np.bool_)
    counted[:, :32] = False
    one, other = IMAGES[:1].copy(), IMAGES[:1].copy()
    one[:, :32], other[:, :32] = 0, 255
    assert np.array_equal(smooth.score(one, counted).maps, smooth.score(other, counted).maps)


def test_parts_of_a_micro_batch_find_the_same(mkd: MKD, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = np.ones(IMAGES.shape[:3], np.bool_)
    counted[2, :20] = False
    whole = [mkd.score(IMAGES, mask) for mask in (None, counted)]
    monkeypatch.setattr("rd_core.detectors.mkd.detector._PIXELS_AT_ONCE", 3 * SIZE * SIZE)
    for mask, expected in zip((None, counted), whole, strict=True):
        for values, same in zip(mkd.score(IMAGES, mask), expected, strict=True):
            np.testing.assert_allclose(values, same, rtol=1e-4, atol=1e-6)


def test_a_caller_in_inference_mode_gets_the_same(mkd: MKD) -> None:
    with torch.inference_mode():
        inside = mkd.score(IMAGES)
    assert all(np.array_equal(*pair) for pair in zip(inside, mkd.score(IMAGES), strict=True))


def test_bfloat16_scores_nearly_the_same(mkd: MKD) -> None:
    other = retuned(mkd, precision="bfloat16").ready()
    np.testing.assert_allclose(other.score(IMAGES).scores, mkd.score(IMAGES).scores, rtol=0.05)


def test_openvino_is_refused_in_words(mkd: MKD) -> None:
    with pytest.raises(EngineUnavailable, match=r"mkd is supported by torch only.*nothing was trained"):
        refuse_impossible("openvino", MKD, mkd.settings)
    assert computed_by("torch", mkd) is mkd


def test_the_cloner_of_vgg16_is_the_authors() -> None:
    cloner = Cloner(teacher_spec("vgg16"), 16)
    convolutions = [layer for layer in cloner.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [16, 16, 16, 128, *[16, 16, 256], *[16, 16, 512] * 2]
    assert all(layer.bias is None and layer.stride == (1, 1) for layer in convolutions)
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in cloner.modules()) == 5
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in cloner.modules()) == len(convolutions) - 4
    assert [tuple(stage.shape) for stage in cloner(torch.zeros(2, 3, 64, 32))] == [
        (2, channels, 64 // s, 32 // s) for channels, s in zip((128, 256, 512, 512), STRIDES, strict=True)
    ]


def test_the_cloner_of_a_linear_source_can_be_negative() -> None:
    torch.manual_seed(0)
    assert all(stage.min() < 0 for stage in Cloner(teacher_spec("efficientnet_lite0"), 8)(torch.randn(2, 3, 64, 64)))
    assert all(stage.min() >= 0 for stage in Cloner(teacher_spec("resnet18"), 8)(torch.randn(2, 3, 64, 64)))


def test_the_source_is_vgg16_by_setting() -> None:
    with torch.device("meta"):
        vgg = MKD.build(settings(teacher="vgg16"), pretrained=False)
    assert vgg.feature_shapes == [(3, 64, 64), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)]


@pytest.fixture
def validations(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, torch.Tensor]]]:
    """Validation losses of 3, 1, 2, 2, ..., and the cloner's weights at each."""
    kept: list[dict[str, torch.Tensor]] = []

    def validated(descent: Any) -> float:
        kept.append({name: tensor.clone() for name, tensor in descent.model.cloner.state_dict().items()})
        return [3.0, 1.0, 2.0, 2.0, 2.0][len(kept) - 1]

    monkeypatch.setattr(training._ClonerDescent, "validation_loss", validated)
    yield kept


@pytest.mark.parametrize(("patience", "stopped", "best"), [(2, 4, 1), (0, 5, 4)])
def test_the_best_validation_is_kept_or_the_last_step_where_no_patience_is_set(
    validations: list[dict[str, torch.Tensor]], patience: int, stopped: int, best: int
) -> None:
    fitted = train("mkd", settings(steps=5, validate_every=1, patience=patience), NORMALS)
    assert len(validations) == stopped == fitted.report.figures["steps"]
    assert fitted.report.summary == f"{best + 1} steps"
    for name, tensor in fitted.detector.cloner.state_dict().items():
        assert torch.equal(tensor, validations[best][name]), name


def test_a_validation_is_the_loss_of_the_early_stop_normals_by_the_model_as_it_scores() -> None:
    fitted = train("mkd", settings(batch_size=2), NORMALS)
    model = fitted.detector
    images, *raw = model.teacher_features(torch.from_numpy(NORMALS.early_stop))
    with torch.no_grad():
        losses = model.training_losses(images, tuple(raw), None)
    assert fitted.report.figures["validation_losses"][-1] == pytest.approx(float(losses.mean()), rel=1e-2)


def test_a_training_that_fits_no_cache_learns_nearly_the_same(mkd: MKD) -> None:
    np.testing.assert_allclose(fit(feature_cache_bytes=0).score(IMAGES).scores, mkd.score(IMAGES).scores, rtol=0.02)


def test_a_loss_that_is_not_finite_ends_the_training_in_words() -> None:
    with pytest.raises(TrainingDiverged, match=r"learning rate below 1e\+30"):
        fit(learning_rate=1e30)


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: 0} for name in ("cloner_width", "noisy_copies", "batch_size", "steps", "validate_every")),
        *({"opening_radius": radius} for radius in (-1, 17)),
        {"noise": 0.0},
        {"patience": -1},
        {"value_weight": -1.0},
        {"epochs": 3},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MKDSettings(**wrong)


def test_epochs_replace_the_default_steps_and_neither_is_of_the_weights() -> None:
    by_epochs = MKDSettings.from_table({"epochs": 3})
    assert by_epochs.total_steps(33) == 9 and MKDSettings().total_steps(33) == 500
    assert [MKDSettings(image_height=side, image_width=512).batch for side in (256, 512, 4096)] == [8, 4, 2]
    assert MKDSettings.from_table(MKDSettings.of_paper()).batch == 64
    assert by_epochs.of_weights() == MKDSettings(batch_size=4, seed=3).of_weights()
    assert by_epochs.of_weights() != MKDSettings(cloner_width=8).of_weights()
