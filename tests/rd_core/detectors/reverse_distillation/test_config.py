import json

import pytest

from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings, recipe
from rd_core.errors import ConfigError


@pytest.mark.parametrize(
    "record",
    [
        ReverseDistillationSettings(
            teacher="resnet18", image_height=96, image_width=320, standardise=False, score="sum"
        ),
        recipe("paper", seed=7),
        recipe("robust", seconds=30.0, patience=None),
    ],
)
def test_a_record_survives_json(record):
    assert type(record).from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_a_missing_field_takes_its_default():
    assert ReverseDistillationSettings.from_dict({"image_height": 128}) == ReverseDistillationSettings(
        image_height=128
    )


def test_an_unknown_field_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"image_hight.*Did you mean 'image_height'"):
        ReverseDistillationSettings.from_dict({"image_hight": 128})


@pytest.mark.parametrize(
    "values",
    [
        {"score": "mean"},
        {"image_height": "tall"},
        {"standardise": None},
        {"image_width": True},
        {"map_stages": 1},
        {"training": {"betas": [0.5]}},
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        ReverseDistillationSettings.from_dict(values)


@pytest.mark.parametrize(("side", "near"), [(100, "96 or 128"), (31, "Use 32:"), (0, "Use 32:"), (257, "256 or 288")])
def test_a_side_off_the_grid_is_refused_with_the_nearest_legal_ones(side, near):
    with pytest.raises(ConfigError, match=near):
        ReverseDistillationSettings(image_width=side)


@pytest.mark.parametrize(
    ("height", "width", "together"),
    [
        *((32, 32, 16), (256, 256, 16), (256, 288, 8), (256, 512, 8)),
        *((384, 384, 4), (512, 512, 4), (1024, 1024, 1), (4096, 4096, 1)),
    ],
)
def test_large_images_are_scored_together_in_halves_and_quarters_as_memory_allows(height, width, together):
    config = ReverseDistillationSettings(image_height=height, image_width=width)
    assert config.micro_batch == together
    assert config.micro_batch_shape == (together, height, width, 3)


def test_the_papers_recipe_is_the_papers():
    settings = recipe("paper").training
    assert (settings.optimiser, settings.betas, settings.learning_rate) == ("adam", (0.5, 0.999), 0.005)
    assert (settings.batch_size, settings.epochs, settings.schedule) == (16, 200, "constant")
    assert settings.loss == "per_position"
    assert settings.keep == "last"
    model = recipe("paper")
    assert not (model.standardise or model.magnitude or model.discriminator_cells)
    assert model.smoothing_sigma == 4.0
    assert model.align_corners


def test_the_default_recipe_standardises():
    assert recipe().standardise
    assert recipe() == ReverseDistillationSettings()


def test_steps_take_the_place_of_epochs_and_the_other_way_round():
    for name, length, expected in (("paper", {"steps": 5}, (None, 5)), ("robust", {"epochs": 2}, (2, None))):
        training = recipe(name, **length).training
        assert (training.epochs, training.steps) == expected


def test_epochs_count_the_last_short_batch():
    assert recipe("robust", epochs=3, batch_size=16).training.total_steps(33) == 9


def test_unknown_recipes_and_overrides_name_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'robust'"):
        recipe("robst")
    with pytest.raises(ConfigError, match="Did you mean 'batch_size'"):
        recipe("robust", batchsize=4)


@pytest.mark.parametrize(
    "bad", [{"steps": 0}, {"batch_size": 1}, {"learning_rate": -1.0}, {"steps": 5, "epochs": 5}, {"warm_up": 1.0}]
)
def test_settings_that_train_nothing_are_refused(bad):
    with pytest.raises(ConfigError):
        recipe("robust", **bad)


@pytest.mark.parametrize("stages", [(), (2, 1), (1, 1)])
def test_stages_that_make_no_map_are_refused(stages):
    with pytest.raises(ConfigError, match="Give some of 1, 2, 3 in rising order"):
        ReverseDistillationSettings(map_stages=stages)


def test_the_pretrained_bottleneck_refuses_standardised_features():
    with pytest.raises(ConfigError, match="Set standardise to false"):
        ReverseDistillationSettings(bottleneck="pretrained")


@pytest.mark.parametrize(
    ("normals", "settings", "copies"),
    [
        (2000, {}, 2),  # 3,600 are shown in all
        (900, {}, 4),
        (10_000, {}, 1),
        (250, {}, 4),
        (100, {}, 10),
        (35, {}, 29),
        (35, {"steps": 20}, 4),  # 120
        (35, {"steps": 40}, 7),  # 240
        (5, {"steps": 40}, 30),  # 5 a step: 150
        (35, {"steps": 1, "clean_share": 1.0}, 1),
        (35, {"pseudo_anomalies": 0}, 0),
        (35, {"pseudo_anomalies_in_all": 0, "pseudo_anomalies": 3}, 3),
    ],
)
def test_few_normals_have_more_synthetic_copies_each_but_none_that_is_never_shown(normals, settings, copies):
    assert recipe(**settings).training.synthetic_copies(normals) == copies
    assert recipe("paper").training.synthetic_copies(normals) == 0


@pytest.mark.parametrize("name", ["magnitude_loss", "pseudo_anomalies", "pseudo_anomalies_in_all"])
def test_a_negative_weight_or_number_of_copies_is_refused(name):
    with pytest.raises(ConfigError, match=rf"{name} -1(\.0)? must not be negative"):
        recipe(**{name: -1})


@pytest.mark.parametrize("cells", [(32, 16), (16, 16), (32, 32)])
def test_cells_out_of_order_or_twice_are_refused(cells):
    with pytest.raises(ConfigError, match=r"discriminator_cells .*rising order"):
        ReverseDistillationSettings(discriminator_cells=cells)


@pytest.mark.parametrize("ridge", [0, -1, 1e5, float("nan")])
def test_a_ridge_that_whitens_nothing_or_rounding_is_refused(ridge):
    with pytest.raises(ConfigError, match=r"whitening_ridge .* is not in \[0.0001, 10000\]"):
        ReverseDistillationSettings(whitening_ridge=ridge)


def test_other_cells_than_the_stages_allow_are_refused():
    with pytest.raises(ConfigError, match="discriminator_cells"):
        ReverseDistillationSettings.from_dict({"discriminator_cells": [8]})
