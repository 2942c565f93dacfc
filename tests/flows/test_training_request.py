"""A category's settings become the request to train it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.settings import SettingsError, load_settings
from flows.training_request import training_request
from rd_core.detectors.spade.settings import SpadeSettings
from rd_core.pictures.ignored_regions import Ignore
from storage.errors import CorruptObject
from storage.filesystem import LocalStore
from storage.ignored_regions import drawn, save_region


def test_every_setting_of_a_training_reaches_it(tmp_path: Path) -> None:
    (tmp_path / "categories.toml").write_text(
        """
        [categories.cloth]
        image_size = [96, 160]
        map_stride = 2
        teacher = "resnet18"
        teacher_weights = "weights.pth"
        alpha = 0.05
        calibration = "cross"
        extrapolate = false
        part_pattern = "(?P<part>a)"
        white_level = 4095
        black_level = 64
        max_pixels = 1000
        seed = 3
        precision = "bfloat16"
        [categories.cloth.reverse_distillation]
        steps = 7
        mirrored_below = 0
        """
    )
    request = training_request(load_settings(str(tmp_path), environment={}), "cloth")
    model, training = request.settings, request.settings.training
    assert (model.image_height, model.image_width) == (96, 160)
    assert model.map_size == (48, 80)
    assert (model.teacher, model.precision, model.smoothing_sigma) == ("resnet18", "bfloat16", 2.5)
    assert (model.recipe, training.steps, model.seed, training.mirrored_below) == ("robust", 7, 3, 0)
    assert request.teacher_weights == Path("weights.pth")
    assert (request.alpha, request.part_pattern) == (0.05, "(?P<part>a)")
    assert (request.calibration, request.extrapolate) == ("cross", False)
    pixels = request.image_format
    assert (pixels.white_level, pixels.black_level, pixels.max_pixels) == (4095, 64, 1000)


def test_the_region_in_force_is_frozen_in_the_view(tmp_path: Path) -> None:
    (tmp_path / "categories.toml").write_text("[categories.cloth]\nimage_size = 64\ncrop = [0.0, 0.0, 1.0, 0.5]\n")
    settings, store = load_settings(str(tmp_path), environment={}), LocalStore(tmp_path)
    assert training_request(settings, "cloth").view.ignore is None
    region = drawn([[[0, 0], [0.5, 0], [0.5, 0.5]]], by="ann", at=datetime(2026, 3, 1, tzinfo=UTC))
    save_region(store, "cloth", region, expected=None)
    request, other = training_request(settings, "cloth"), training_request(settings, "silk")
    assert request.view.ignore == Ignore(polygons=(((0.0, 0.0), (0.5, 0.0), (0.5, 0.5)),))
    assert request.view.crop is not None
    assert other.view.ignore is None
    (tmp_path / "regions" / "cloth.png").write_bytes(b"no mask")
    with pytest.raises(CorruptObject, match=r"regions/cloth.png"):
        training_request(settings, "cloth")


def test_a_recipe_brings_its_own_model_and_normals_may_be_mirrored_where_nothing_forbids_it(tmp_path: Path) -> None:
    (tmp_path / "categories.toml").write_text(
        '[categories.paper.reverse_distillation]\nrecipe = "paper"\n[categories.cloth]'
    )
    settings = load_settings(str(tmp_path), environment={})
    paper, cloth = (training_request(settings, name) for name in ("paper", "cloth"))
    assert (paper.settings.recipe, paper.settings.smoothing_sigma) == ("paper", 4.0)
    assert (paper.settings.map_stride, cloth.settings.map_stride) == (1, 4)
    assert paper.settings.training.mirrored_below == 0 < cloth.settings.training.mirrored_below


def test_an_option_that_the_method_has_not_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "categories.toml").write_text('[categories.cloth]\nmethod = "spade"\n')
    settings = load_settings(str(tmp_path), options={"steps": 2}, environment={})
    assert training_request(settings, "metal").settings.training.steps == 2
    with pytest.raises(SettingsError, match=r"^steps 2: the method of 'cloth' is spade, which has no such .*Nothing"):
        training_request(settings, "cloth")
    everywhere = load_settings(str(tmp_path), environment={"RD_INSPECT_METHOD": "spade"})
    assert training_request(everywhere, "metal").settings == SpadeSettings()
