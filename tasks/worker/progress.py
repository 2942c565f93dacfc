"""Progress messages from workers to whoever watches the run."""

import sys
from typing import Literal, TypedDict

TOPIC = "rd-inspect-progress"
Phase = Literal[
    "reading",
    "gathered",
    "features",
    "distillation",
    "memory",
    "folds",
    "steps",
    "held out",
    "threshold",
    "trained",
    "judging",
    "judged",
]
"""phases of a training: its images, the teacher's pass, steps of a teacher that is learnt, memory, steps of its
folds, its own, held-out scores, calibration, end. A retraining starts with "gathered" images and ends with the
comparison with the champion"""


class Scored(TypedDict):
    """Scored images of a night or a backfill."""

    stage: Literal["inspect"]
    category: str
    done: int
    """number since the last message"""


class Trained(TypedDict):
    """The progress of a training."""

    stage: Literal["train"]
    category: str
    phase: Phase
    done: int
    """images of "features" and "held out", vectors of "memory", steps of "distillation", "folds" and "steps", 1 for a
    finished one"""
    total: int | None
    """None if unknown"""


def tell(message: Scored | Trained) -> None:
    """Send `message` to the run's watchers; no effect outside a Dask worker."""
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
    """Report the progress of a training."""
    tell(Trained(stage="train", category=category, phase=phase, done=done, total=total))
