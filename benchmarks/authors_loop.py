"""The authors' training loop, written out.

As their published code has it: memory laid out channels first, the teacher run at every step with its gradients
recorded, one vector a map in the loss, Adam at a constant rate.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rd_core.detectors.reverse_distillation.loss import flattened
from rd_core.detectors.reverse_distillation.model import ReverseDistillation
from rd_core.detectors.reverse_distillation.settings import recipe

SETTINGS = recipe("paper")


class AuthorsLoop:
    """Steps on `model`'s bottleneck and student; `teacher` gives the three stages of a normalised batch."""

    def __init__(self, model: ReverseDistillation, teacher: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        self.model = model.to(memory_format=torch.contiguous_format)
        self._teacher = teacher
        self._trained = nn.ModuleList([model.bottleneck, model.student])
        rate, betas = SETTINGS.learning_rate, SETTINGS.betas
        self._optimiser = torch.optim.Adam(
            self._trained.parameters(), lr=rate, betas=betas, fused=False, foreach=True
        )

    def normalised(self, images: NDArray[np.uint8]) -> Tensor:
        """uint8 (B, H, W, 3) -> float32 (B, 3, H, W), channels first in memory."""
        return self.model.normalisation(torch.from_numpy(images)).contiguous()

    def step(self, batch: Tensor) -> None:
        """One step on a normalised batch."""
        self._trained.train()
        features = self._teacher(batch)
        loss = flattened(features, self.model(features))
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
