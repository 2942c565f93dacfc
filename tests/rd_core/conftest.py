"""Small models and images, made once."""

import copy
from collections.abc import Iterator

import pytest
import torch

from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.training import Fitted
from tests.rd_core.small_trainings import fit, small
from tests.rd_core.striped_images import SIZE, textured
from tests.teachers_once import teachers_built_once


@pytest.fixture(scope="session", autouse=True)
def _teachers_are_built_once() -> Iterator[None]:
    with teachers_built_once():
        yield


@pytest.fixture(scope="module")
def small_micro_batches() -> Iterator[None]:
    """Of four images: a method fills a micro-batch up to score one image, and most tests score a few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rd_core.detectors.settings.MICRO_BATCH_PIXELS", 4 * SIZE * SIZE)
        yield


@pytest.fixture(scope="session")
def small_config() -> ReverseDistillationSettings:
    return small()


@pytest.fixture(scope="session")
def fitted(small_config: ReverseDistillationSettings) -> Fitted:
    """Trained for a few steps on stripes; not to be changed."""
    settings = small(steps=45, batch_size=8, validate_every=15, pseudo_anomalies_in_all=0)
    return fit(settings, textured(24), textured(6, seed=1))


@pytest.fixture
def random_model(_random_model: ReverseDistillation) -> ReverseDistillation:
    """Random weights everywhere, batch-norm statistics and standardisation away from their defaults."""
    return copy.deepcopy(_random_model)


@pytest.fixture(scope="session")
def _random_model(small_config: ReverseDistillationSettings) -> ReverseDistillation:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return unsettled(ReverseDistillation.build(small_config, pretrained=False))


def unsettled(model: ReverseDistillation) -> ReverseDistillation:
    """The model in eval mode, its batch norms, standardisation and discriminators with statistics that matter."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.3, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.3, 0.3)
    for name, buffer in model.standardisation.named_buffers():
        torch.nn.init.uniform_(buffer, 0.5, 1.5) if name.startswith("std") else torch.nn.init.normal_(buffer, 0, 0.1)
    for discriminator in model.discriminators:
        for buffer in (discriminator.mean, discriminator.whitening, discriminator.level):
            torch.nn.init.normal_(buffer, 0, 0.1)
        torch.nn.init.uniform_(discriminator.weight, 0.5, 1.0)
    return model.eval()
