"""The engines: OpenVINO computes what torch does, and says so clearly where it cannot."""

import logging
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from rd_core.calibration.threshold import triage
from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.settings import MICRO_BATCH
from rd_core.engines import choice as engines
from rd_core.engines import measurement
from rd_core.engines.choice import OPENVINO, TORCH, engine_here, library_of
from rd_core.engines.engine import Engine, computed_by
from rd_core.errors import EngineUnavailable
from tests.rd_core.batch_company import assert_company_does_not_count

HEIGHT, WIDTH = 64, 96
needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="the extra is not installed")


def model_of(teacher: str, **settings: object) -> ReverseDistillation:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = ReverseDistillationSettings(teacher=teacher, image_height=HEIGHT, image_width=WIDTH, **settings)
        model = ReverseDistillation.build(config, pretrained=False)
        for name, buffer in model.standardisation.named_buffers():
            torch.nn.init.uniform_(buffer, 0.5, 1.5) if name.startswith("std") else buffer.normal_(0, 0.1)
        model.blend.magnitude.copy_(torch.linspace(0.2, 0.6, len(model.blend.magnitude)))
        for discriminator in model.discriminators:
            discriminator.whitening.normal_(0, 0.1)
            discriminator.level.fill_(-0.1)
            discriminator.weight.fill_(0.5)
    return model.eval().ready()


@pytest.fixture(scope="module")
def pair() -> tuple[ReverseDistillation, Engine]:
    """The default teacher by both engines; making one takes seconds."""
    model = model_of("efficientnet_lite0")
    return model, computed_by(engine_here(OPENVINO), model)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (MICRO_BATCH + 3, HEIGHT, WIDTH, 3), dtype=np.uint8)


def assert_the_same(
    model: ReverseDistillation, other: Engine, images: np.ndarray, counted: np.ndarray | None = None
) -> None:
    expected, result = model.score(images, counted), other.score(images, counted)
    for ours, theirs in zip(result, expected, strict=True):
        assert ours.dtype == np.float32
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
    low, high = np.quantile(expected.scores, [0.3, 0.7]) * (
        1 + 1e-5
    )  # between two scores, as a threshold mostly lies
    assert triage(result.scores, low, high).tolist() == triage(expected.scores, low, high).tolist()


@needs_openvino
def test_openvino_computes_what_torch_does(pair, images) -> None:
    assert_the_same(*pair, images)


@needs_openvino
@pytest.mark.parametrize(
    ("teacher", "settings"),
    [("resnet18", {"standardise": False, "map_stages": (1, 3), "score": "sum", "smoothing_sigma": 0.0})],
)
def test_other_networks_and_settings_are_computed_too_and_nothing_is_logged(
    teacher, settings, images, caplog: pytest.LogCaptureFixture
) -> None:
    """With ignored pixels, too."""
    model = model_of(teacher, **settings)
    engine, counted = computed_by(engine_here(OPENVINO), model, ignoring=True), np.ones(images.shape[:3], np.bool_)
    counted[::2, :40, 30:] = False
    assert_the_same(model, engine, images, counted)
    assert_the_same(model, engine, images)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@needs_openvino
def test_a_model_of_bfloat16_is_refused() -> None:
    model = model_of("efficientnet_lite0", precision="bfloat16")
    with pytest.raises(EngineUnavailable, match=r"bfloat16.*engine = 'torch'"):
        computed_by(engine_here(OPENVINO), model)


@needs_openvino
def test_a_score_does_not_depend_on_the_rest_of_its_batch(pair, images) -> None:
    assert_company_does_not_count(pair[1], images)


@needs_openvino
def test_a_result_stays_when_the_next_one_comes(pair, images) -> None:
    first = pair[1].score(images[:MICRO_BATCH])
    kept = first.maps.copy()
    pair[1].score(images[::-1][:MICRO_BATCH].copy())
    assert np.array_equal(first.maps, kept)


@needs_openvino
def test_images_of_another_size_are_refused(pair) -> None:
    with pytest.raises(ValueError, match="Resize them"):
        pair[1].score(np.zeros((1, HEIGHT, HEIGHT, 3), np.uint8))


@needs_openvino
def test_a_graph_for_whole_images_refuses_ignored_pixels(pair, images) -> None:
    with pytest.raises(ValueError, match="ignoring=True"):
        pair[1].score(images, np.zeros(images.shape[:3], np.bool_))


@needs_openvino
def test_no_images_give_no_scores(pair) -> None:
    maps = pair[1].score(np.zeros((0, HEIGHT, WIDTH, 3), np.uint8)).maps
    assert maps.shape == (0, *pair[0].settings.map_size)


@needs_openvino
def test_it_runs_in_float32_on_the_threads_of_torch_and_is_bound_to_no_core(pair) -> None:
    compiled = pair[1]._request.get_compiled_model()
    assert compiled.get_property("INFERENCE_NUM_THREADS") == torch.get_num_threads() == 1
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    assert compiled.get_property("ENABLE_CPU_PINNING") is False
    assert compiled.get_property("NUM_STREAMS") == 1


@needs_openvino
def test_an_engine_that_computes_something_else_is_refused(pair) -> None:
    from rd_core.engines.openvino import TOLERANCE, _refuse_difference  # noqa: PLC0415  # needs the extra; without it this test is skipped

    model, openvino = pair
    for field in range(3):
        for factor, refused in ((1 + 3 * TOLERANCE, True), (1 + TOLERANCE / 3, False), (np.nan, True)):

            def detect(images, counted, field=field, factor=factor):
                result = list(openvino.score(images, counted))
                result[field] = result[field] * np.float32(factor)
                return result

            if refused:
                with pytest.raises(EngineUnavailable, match="threshold would not hold"):
                    _refuse_difference(model, detect)
            else:
                _refuse_difference(model, detect)


@needs_openvino
def test_what_is_here_is_measured(pair, monkeypatch: pytest.MonkeyPatch) -> None:
    model, openvino = pair
    monkeypatch.setattr(measurement, "computed_by", lambda *_, **__: openvino)  # made anew it would take seconds
    choice = measurement.choose_engine(model)
    assert choice.images_per_second.keys() == {TORCH, OPENVINO} >= {choice.library}
    assert all(rate > 0 for rate in choice.images_per_second.values())


def test_torch_is_the_model_itself() -> None:
    model = model_of("efficientnet_lite0")
    assert computed_by(TORCH, model) is model
    assert engine_here(TORCH) == TORCH


@needs_openvino
def test_an_engine_has_its_version_in_its_name() -> None:
    assert engine_here(OPENVINO) == f"openvino {version('openvino')}"
    assert library_of(engine_here(OPENVINO)) == OPENVINO
    assert library_of(TORCH) == TORCH


def test_without_the_extra_the_message_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(engines, "version", missing)
    with pytest.raises(EngineUnavailable, match=r"nothing was scored.*pip install 'rd-inspect\[openvino\]'.*'torch'"):
        engine_here(OPENVINO)


def test_a_plan_of_another_version_is_refused_with_that_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "version", lambda _: "2027.1.0")
    with pytest.raises(EngineUnavailable, match=r"nothing was scored.*pip install openvino==2026\.4\.1"):
        computed_by("openvino 2026.4.1", model_of("efficientnet_lite0"))


@needs_openvino
def test_openvino_is_imported_only_where_it_is_needed_and_tells_its_makers_nothing() -> None:
    """By itself it reports every import and conversion over the network. The stub does nothing."""
    code = (
        "import sys, rd_core.engines.choice, tasks.worker.scorer; print('openvino' in sys.modules); "
        "import rd_core.engines.openvino, openvino.tools.ovc.telemetry_utils as t; print(t.tm.__name__)"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.split() == ["False", "openvino.tools.ovc.telemetry_stub"]
