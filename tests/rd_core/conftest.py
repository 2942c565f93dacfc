"""Small models and images, made once."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rd_core.config import ModelConfig, model_config, recipe
from rd_core.model import ReverseDistillation, build_model
from rd_core.training import FitResult, fit

SIZE = 64


@pytest.fixture(autouse=True, scope="session")
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def textured(count: int, height: int = SIZE, width: int = SIZE, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 (count, height, width, 3): stripes of one period, each image with its own phase and noise."""
    random = np.random.default_rng(seed)
    phase = random.uniform(0, 2 * np.pi, (count, 1, 1, 1))
    x = np.arange(width)[None, None, :, None]
    stripes = 128 + 60 * np.sin(x / 3 + phase) + random.normal(0, 6, (count, height, width, 3))
    return np.clip(stripes, 0, 255).astype(np.uint8)


def with_blot(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The images with a dark square, rows and columns 20 to 36."""
    marred = images.copy()
    marred[:, 20:36, 20:36] = 10
    return marred


@pytest.fixture(scope="session")
def small_config() -> ModelConfig:
    return model_config(image_height=SIZE, image_width=SIZE)


@pytest.fixture(scope="session")
def fitted(small_config: ModelConfig) -> FitResult:
    """Trained for a few steps on stripes; not to be changed."""
    return fit(small_config, recipe(steps=60, batch_size=8, validate_every=20), textured(24), textured(6, seed=1))


@pytest.fixture
def random_model(small_config: ModelConfig) -> ReverseDistillation:
    """Random weights everywhere, batch-norm statistics and standardisation away from their defaults."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return unsettled(build_model(small_config, pretrained=False))


def unsettled(model: ReverseDistillation) -> ReverseDistillation:
    """The model in eval mode, its batch norms and standardisation with statistics that matter."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.3, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.3, 0.3)
    for name, buffer in model.standardisation.named_buffers():
        torch.nn.init.uniform_(buffer, 0.5, 1.5) if name.startswith("std") else torch.nn.init.normal_(buffer, 0, 0.1)
    return model.eval()
