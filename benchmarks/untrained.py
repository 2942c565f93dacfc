"""Models that cost what a trained one costs, where nothing is asked of their scores."""

import torch

from rd_core.detectors.reverse_distillation.model import ReverseDistillation, build_model
from rd_core.detectors.reverse_distillation.settings import ModelConfig


def untrained(config: ModelConfig) -> ReverseDistillation:
    """The same at every call, in eval mode, without a download.

    Every kind of distance counts: of a weight of 0, which a model has as built, a compiler may leave out all that
    leads to it.
    """
    torch.manual_seed(0)
    model = build_model(config, pretrained=False).eval()
    model.blend.magnitude.fill_(0.5)
    for discriminator in model.discriminators:
        discriminator.weight.fill_(1)
    return model
