"""A category's settings become the request to train it."""

from pathlib import Path

from flows.settings import load_settings
from flows.training import training_request


def test_every_setting_of_a_training_reaches_it(tmp_path: Path) -> None:
    (tmp_path / "categories.toml").write_text(
        """
        [categories.cloth]
        image_size = [96, 160]
        teacher = "resnet18"
        teacher_weights = "weights.pth"
        recipe = "paper"
        steps = 7
        alpha = 0.05
        part_pattern = "(?P<part>a)"
        white_level = 4095
        max_pixels = 1000
        seed = 3
        precision = "bfloat16"
        """
    )
    request = training_request(load_settings(str(tmp_path), environment={}), "cloth")
    model, training = request.model_config, request.training_config
    assert (model.image_height, model.image_width) == (96, 160)
    assert (model.teacher, model.precision, model.smoothing_sigma) == ("resnet18", "bfloat16", 4.0)
    assert (training.recipe, training.steps, training.seed) == ("paper", 7, 3)
    assert request.teacher_weights == Path("weights.pth")
    assert (request.alpha, request.part_pattern) == (0.05, "(?P<part>a)")
    assert (request.image_format.white_level, request.image_format.max_pixels) == (4095, 1000)
