"""Networks in bfloat16: nearly float32's maps, by the same promises."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.settings import MICRO_BATCH
from rd_core.kernels.precision import is_quick
from tests.rd_core.batch_company import assert_company_does_not_count
from tests.rd_core.small_trainings import fit, small
from tests.rd_core.striped_images import textured

SIDE = 64
CPU = torch.device("cpu")


def model_in(precision: str) -> ReverseDistillation:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = ReverseDistillationSettings(image_height=SIDE, image_width=SIDE, precision=precision)
        model = ReverseDistillation.build(config, pretrained=False).eval()
    for discriminator in model.discriminators:
        discriminator.weight.fill_(0.3)
    return model


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (MICRO_BATCH + 3, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.mark.parametrize("prepare", [lambda model: model.ready(), lambda model: model])
def test_maps_are_float32_and_a_little_apart(prepare, images) -> None:
    result, exact = prepare(model_in("bfloat16")).score(images), model_in("float32").score(images)
    assert {one.dtype for one in result} == {np.dtype(np.float32)}
    apart = np.abs(result.maps - exact.maps).max() / exact.maps.max()
    assert 1e-5 < apart < 0.05
    np.testing.assert_allclose(result.scores, exact.scores, rtol=0.02)


def test_a_score_does_not_depend_on_the_rest_of_its_batch(images) -> None:
    assert_company_does_not_count(model_in("bfloat16").ready(), images)


def test_networks_ready_for_inference_hold_half_the_bytes() -> None:
    ready = model_in("bfloat16").ready()
    networks = [*ready.teacher.parameters(), *ready.bottleneck.parameters(), *ready.student.parameters()]
    of_cells = [discriminator.layers for discriminator in ready.discriminators]
    networks += [weight for layers in of_cells for weight in layers[:-1].parameters()]
    assert {one.dtype for one in networks} == {torch.bfloat16}
    exact = [*ready.standardisation.buffers(), *(weight for layers in of_cells for weight in layers[-1].parameters())]
    assert {one.dtype for one in exact} == {torch.float32}


def test_odds_in_bfloat16_are_float32_and_a_little_apart(images) -> None:
    result, exact = (model_in(precision).ready() for precision in ("bfloat16", "float32"))
    with torch.inference_mode():
        features = exact.teacher_features(torch.from_numpy(images))
        for one, other in zip(result.discriminators, exact.discriminators, strict=True):
            odds, expected = one.logits(features), other.logits(features)
            assert odds.dtype == torch.float32
            assert 1e-5 < float((odds - expected).abs().max() / expected.abs().max()) < 0.05


def test_a_training_in_bfloat16_learns_and_its_weights_are_float32() -> None:
    length = {"steps": 15, "validate_every": 5, "batch_size": 4}
    settings = small(precision="bfloat16", pseudo_anomalies=1, pseudo_anomalies_in_all=0, **length)
    fitted = fit(settings, textured(12), textured(4, seed=1))
    losses = [validation["validation_loss"] for validation in fitted.report.figures["history"]]
    assert losses[-1] < 0.9 * losses[0]
    assert {one.dtype for one in fitted.detector.student.parameters()} == {torch.float32}
    assert np.isfinite(fitted.detector.score(textured(2, seed=2)).maps).all()


@pytest.mark.parametrize(
    ("text", "quick"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 avx512vl\n", True),
        ("flags\t\t: fpu amx_bf16\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("flags\t\t: fpu avx2 f16c\n", False),
        ("model name\t: avx512_bf16 in name only\nflags\t\t: fpu\n", False),
        ("", False),
    ],
)
def test_processors_tell_whether_they_have_it(tmp_path: Path, text: str, quick: bool) -> None:
    information = tmp_path / "cpuinfo"
    information.write_text(text)
    assert is_quick(CPU, information) is quick


def test_a_system_that_tells_nothing_counts_as_slow(tmp_path: Path) -> None:
    assert not is_quick(CPU, tmp_path / "none")
