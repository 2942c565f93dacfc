"""What every method promises. A method adds a line to SMALL, and all of these tests are its."""

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rd_core.detectors import checkpoint, registry
from rd_core.detectors.detector import CrossFit, Detector, FitProgress, FitRun, Normals
from rd_core.detectors.settings import DetectorSettings
from rd_core.detectors.training import Fitted, train
from rd_core.errors import CheckpointError, ConfigError
from rd_core.files.tensor_file import header_of, pack, tensors_of
from rd_core.files.training_state import Resumption
from tests.rd_core.batch_company import assert_company_does_not_count
from tests.rd_core.striped_images import SIZE, textured, with_blot

pytestmark = pytest.mark.usefixtures("small_micro_batches")
TRAIN, EARLY_STOP = textured(12), textured(4, seed=1)
SIDES = {"image_height": SIZE, "image_width": SIZE}
SMALL: dict[str, dict[str, Any]] = {
    "reverse_distillation": {
        "training": {
            **{"steps": 4, "batch_size": 4, "validate_every": 2, "keep": "last"},
            **{"mirrored_below": 0, "pseudo_anomalies": 0},
        }
    },
    "spade": {"nearest": 5},
    "fyd": {"dimensions": 20, "alignment_steps": 2, "steps": 2, "batch_size": 4},
    "padim": {"dimensions": 20},
    "patchcore": {"coreset_share": 0.25},
    "mkd": {"steps": 6, "batch_size": 4, "validate_every": 3, "patience": 0, "cloner_width": 8},
    "uninformed_students": {
        **{"scales": [33], "width": 4, "descriptors": 8, "students": 2},
        **{"teacher_steps": 4, "patches": 8, "student_steps": 12},
    },
}
"""settings of a fit that is over in a second, by method"""
CROSS_FIT = [name for name, method in registry.METHODS.items() if method.settings.cross_fits]


def small(name: str, **changes: Any) -> DetectorSettings:
    return replace(registry.settings_of(name, {**SIDES, **SMALL[name]}), **changes)


@dataclass(frozen=True)
class SmallFit:
    """A method's one small fit, with what became of it."""

    settings: DetectorSettings
    fitted: Fitted
    reports: list[FitProgress]
    data: bytes

    @property
    def detector(self) -> Detector[Any]:
        """Not to be changed."""
        return self.fitted.detector

    @property
    def name(self) -> str:
        return self.settings.method


@pytest.fixture(scope="module", params=list(registry.METHODS))
def sample(request: pytest.FixtureRequest) -> SmallFit:
    settings, reports = small(request.param), []
    fitted = train(settings.method, settings, Normals(TRAIN, EARLY_STOP), FitRun(reports.append))
    return SmallFit(settings, fitted, reports, checkpoint.to_bytes(fitted.detector))


def test_the_registry_and_the_method_agree(sample: SmallFit) -> None:
    kind = registry.method(sample.name)
    assert kind.name == sample.name and kind.Settings is registry.settings_class(sample.name) is type(sample.settings)
    assert isinstance(sample.detector, kind) and sample.detector.settings == sample.settings
    assert sample.detector.map_values and isinstance(sample.detector.score_is_map_maximum, bool)


def test_settings_survive_json_and_unknown_ones_are_refused_with_the_nearest(sample: SmallFit) -> None:
    read = registry.settings_of(sample.name, json.loads(json.dumps(sample.settings.to_dict())))
    assert read == sample.settings and hash(read) == hash(sample.settings)
    with pytest.raises(ConfigError, match=r"no setting 'image_hight'.*Did you mean 'image_height'"):
        registry.settings_of(sample.name, {"image_hight": 64})


@pytest.mark.parametrize("bad", [{"image_height": 100}, {"smoothing_sigma": -1.0}, {"feature_cache_bytes": -1}])
def test_settings_that_cannot_be_are_refused(sample: SmallFit, bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        replace(sample.settings, **bad)


def test_a_fit_tells_how_far_it_is_and_how_it_went(sample: SmallFit) -> None:
    assert sample.reports and all(0 <= report.done <= report.total for report in sample.reports)
    last = {report.phase: report for report in sample.reports}
    assert "features" in last and all(report.done == report.total for report in last.values())
    report = sample.fitted.report
    assert report.summary and report.seconds > 0
    assert json.loads(json.dumps(report.figures, allow_nan=False)) == report.figures
    assert not sample.detector.training


def test_defects_score_higher_than_normals(sample: SmallFit) -> None:
    normal = textured(8, seed=5)
    usual, odd = sample.detector.score(normal), sample.detector.score(with_blot(normal))
    assert odd.scores.mean() > usual.scores.mean()
    assert odd.maps.max(axis=(1, 2)).mean() > usual.maps.max(axis=(1, 2)).mean()


def test_a_score_does_not_depend_on_the_rest_of_its_batch(sample: SmallFit) -> None:
    images = np.concatenate([textured(2, seed=5), with_blot(textured(1, seed=6))])
    for detector in (sample.detector, sample.detector.ready()):
        assert_company_does_not_count(detector, images)


def test_a_detector_made_ready_finds_the_same_and_the_original_stays(sample: SmallFit) -> None:
    images = with_blot(textured(4, seed=5))
    before, ready = sample.detector.score(images), sample.detector.ready()
    for result, expected in zip(ready.score(images), before, strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert not any(weight.requires_grad for weight in ready.parameters())
    for name in sample.detector.sized_by_fit:  # which may be a gigabyte
        assert ready.get_buffer(name).data_ptr() == sample.detector.get_buffer(name).data_ptr()
    assert checkpoint.to_bytes(sample.detector) == sample.data


@pytest.mark.parametrize("stride", [2, 4])
def test_maps_of_a_stride_are_means_and_everything_else_stays(sample: SmallFit, stride: int) -> None:
    header, images = header_of(sample.data), with_blot(textured(3, seed=5))
    full, coarse = (
        checkpoint.from_bytes(
            pack({**header, "settings": {**header["settings"], "map_stride": s}}, tensors_of(sample.data))
        )
        for s in (1, stride)
    )
    mine, whole = coarse.score(images), full.score(images)
    blocks = whole.maps.reshape(3, SIZE // stride, stride, SIZE // stride, stride)
    np.testing.assert_allclose(mine.maps, blocks.mean(axis=(2, 4)), rtol=1e-4, atol=1e-5 * whole.maps.max())
    assert np.array_equal(mine.feature_distances, whole.feature_distances)
    scores = mine.maps.max(axis=(1, 2)) if coarse.score_is_map_maximum else whole.scores
    assert np.array_equal(mine.scores, scores) and coarse.score(images[:0]).maps.shape == (0, *mine.maps.shape[1:])


def test_held_out_maps_have_the_stride_where_the_method_cross_fits(sample: SmallFit) -> None:
    shapes: list[tuple[int, ...]] = []
    cross = CrossFit(
        [str(number) for number in range(16)], lambda _: (), lambda _, found: shapes.append(found.maps.shape[1:])
    )
    settings, normals = replace(sample.settings, map_stride=2), Normals(TRAIN, EARLY_STOP)
    if not settings.cross_fits:
        with pytest.raises(
            ConfigError, match=rf'one training of {sample.name} takes too long .* calibration = "split"'
        ):
            train(sample.name, settings, normals, FitRun(cross=cross))
        return
    train(sample.name, settings, normals, FitRun(cross=cross))
    assert set(shapes) == {(SIZE // 2, SIZE // 2)}


def test_a_detector_survives_bytes(sample: SmallFit) -> None:
    images = with_blot(textured(3, seed=5))
    loaded = checkpoint.from_bytes(sample.data)
    assert type(loaded) is type(sample.detector) and loaded.settings == sample.settings
    for mine, expected in zip(loaded.score(images), sample.detector.score(images), strict=True):
        assert np.array_equal(mine, expected)
    assert checkpoint.to_bytes(loaded) == sample.data


def test_tensors_that_do_not_fit_the_settings_are_named(sample: SmallFit) -> None:
    """Of a memory only the number of rows is the file's to say."""
    other = checkpoint.from_bytes(sample.data)
    kept = [
        name
        for name, buffer in other.named_buffers()
        if buffer.ndim and buffer.is_floating_point() and name in other.state_dict()
    ]
    name = next(iter([*sample.detector.sized_by_fit, *kept]))
    place, _, own = name.rpartition(".")
    tensor = other.get_buffer(name)
    setattr(other.get_submodule(place), own, tensor[..., :-1].clone())
    with pytest.raises(CheckpointError, match=rf"{name} has shape .* instead of"):
        checkpoint.from_bytes(checkpoint.to_bytes(other))
    setattr(other.get_submodule(place), own, torch.full_like(tensor, torch.nan))
    with pytest.raises(CheckpointError, match=f"{name} is not finite"):
        checkpoint.from_bytes(checkpoint.to_bytes(other))


@pytest.mark.parametrize("shape", [(1, SIZE, 2 * SIZE, 3), (1, SIZE, SIZE), (1, SIZE, SIZE, 4)])
def test_images_of_another_shape_are_refused(sample: SmallFit, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="its scores would be meaningless"):
        sample.detector.score(np.zeros(shape, np.uint8))


def test_scores_are_finite_on_what_no_training_showed(sample: SmallFit) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    images = np.stack([np.full((SIZE, SIZE, 3), grey, np.uint8) for grey in (0, 128, 255)] + [noise])
    scored = sample.detector.score(images)
    assert all(np.isfinite(values).all() and values.dtype == np.float32 for values in scored)
    assert scored.maps.shape == (
        4,
        *sample.settings.map_size,
    ) and scored.scores.shape == scored.feature_distances.shape == (4,)
    assert scored.maps.min() >= 0 and scored.maps.max() < 65504  # what float16 maps can hold
    if sample.detector.score_is_map_maximum:
        assert np.array_equal(scored.scores, scored.maps.max(axis=(1, 2)))


def test_a_fit_to_images_that_are_all_alike_gives_a_detector_that_can_be_kept(sample: SmallFit) -> None:
    alike = np.repeat(TRAIN[:1], 6, axis=0)
    loaded = checkpoint.from_bytes(
        checkpoint.to_bytes(train(sample.name, sample.settings, Normals(alike, alike[:2])).detector)
    )
    assert np.isfinite(loaded.score(TRAIN[:2]).maps).all()


class _Largest(TorchDispatchMode):
    """The most values that any tensor had that was made meanwhile."""

    most = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        made = [result] if isinstance(result, torch.Tensor) else result if isinstance(result, tuple | list) else []
        self.most = max([self.most, *(tensor.numel() for tensor in made if isinstance(tensor, torch.Tensor))])
        return result


def test_memory_grows_with_the_normals_and_not_with_their_square(sample: SmallFit) -> None:
    most = []
    for count in (16, 48):
        with _Largest() as seen:
            fitted = train(sample.name, sample.settings, Normals(textured(count), EARLY_STOP[:1]))
            fitted.detector.score(EARLY_STOP[:1])
        most.append(seen.most)
    assert most[1] <= 3.1 * most[0]


class _Killed(Exception):
    pass


def test_a_killed_fit_goes_on_or_starts_over_and_the_same_seed_ends_in_the_same_bytes(sample: SmallFit) -> None:
    """The caller's random state counts for nothing and stays."""
    torch.manual_seed(11)
    before = torch.get_rng_state()
    states: list[bytes] = []
    seen = 0

    def kill(_: FitProgress) -> None:
        nonlocal seen
        seen += 1
        if seen == len(sample.reports) - 1:
            raise _Killed

    normals = Normals(TRAIN, EARLY_STOP)
    with pytest.raises(_Killed):
        train(sample.name, sample.settings, normals, FitRun(kill, Resumption(None, states.append, 0.0)))
    state = states[-1] if states else None
    again = train(sample.name, sample.settings, normals, FitRun(resumption=Resumption(state, states.append, 0.0)))
    assert checkpoint.to_bytes(again.detector) == sample.data
    assert torch.equal(torch.get_rng_state(), before)


def test_a_fit_goes_on_from_weights_where_the_method_says_so(sample: SmallFit) -> None:
    normals, start = Normals(TRAIN, EARLY_STOP), checkpoint.from_bytes(sample.data)
    if not sample.detector.continues:
        with pytest.raises(ConfigError, match="Train from scratch"):
            train(sample.name, sample.settings, normals, start=start)
        return
    longer = replace(sample.settings, seed=3)
    assert checkpoint.to_bytes(train(sample.name, longer, normals, start=start).detector) != sample.data
    assert checkpoint.to_bytes(start) == sample.data
    with pytest.raises(ConfigError, match="Train from scratch"):
        train(sample.name, replace(sample.settings, image_height=2 * SIZE), normals, start=start)
