"""How far the tasks are, told from the workers to whoever watches the run."""

import sys
from typing import Literal, TypedDict

TOPIC = "rd-inspect-progress"
Phase = Literal["reading", "gathered", "features", "memory", "steps", "threshold", "trained", "judging", "judged"]
"""of a training: its images, the teacher's pass over them, what is kept of them, gradient descent, calibration, its
end. A retraining starts with images "gathered" and ends with the comparison with the champion"""


class Scored(TypedDict):
    """Images of a night or of a backfill that are scored."""

    stage: Literal["inspect"]
    category: str
    done: int
    """images since the last message"""


class Trained(TypedDict):
    """Where a training is."""

    stage: Literal["train"]
    category: str
    phase: Phase
    done: int
    """images of "features", vectors of "memory", steps of "steps", 1 of what is over"""
    total: int | None
    """None where nobody can tell"""


def tell(message: Scored | Trained) -> None:
    """Send `message` to the run's watchers. Outside a Dask worker nobody listens, and nothing happens."""
    dask = sys.modules.get(
        "distributed"
    )  # a worker has it; half a second of imports that runs without one are spared
    try:
        worker = dask.get_worker() if dask else None
    except ValueError:
        return
    if worker:
        worker.log_event(TOPIC, dict(message))


def tell_phase(category: str, phase: Phase, done: int = 0, total: int | None = None) -> None:
    """Say where a training is."""
    tell(Trained(stage="train", category=category, phase=phase, done=done, total=total))
