"""The check that a training has not diverged."""

import math

from rd_core.errors import TrainingDiverged


def finite_loss(loss: float, step: int, cure: str) -> float:
    """The loss near a step, if it is a finite number. Raises TrainingDiverged with the cure, a sentence."""
    if not math.isfinite(loss):
        raise TrainingDiverged(f"the loss was {loss} near step {step}, so there is no model. {cure}")
    return loss
