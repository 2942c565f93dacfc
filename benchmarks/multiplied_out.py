"""A model as it scores, but with every multiplication of its convolutions: what the faster ones are compared with."""

import copy
from typing import cast

import torch

from rd_core.detectors.reverse_distillation.model import ReverseDistillation
from rd_core.kernels.folding import fold_batch_norms


def multiplied_out(model: ReverseDistillation) -> ReverseDistillation:
    """A copy of a model that is not prepared, as `prepare_for_inference` makes it but for
    `rd_core.kernels.winograd`."""
    ready = fold_batch_norms(copy.deepcopy(model)).requires_grad_(False)
    return cast(ReverseDistillation, ready.to(memory_format=torch.channels_last))
