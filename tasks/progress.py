"""How far the tasks are, told from the workers to whoever watches the run."""

import sys
from typing import Literal, TypedDict

TOPIC = "rd-inspect-progress"


class Progress(TypedDict):
    """One message of a task."""

    stage: Literal["train", "inspect"]
    category: str
    done: int
    """steps of a training, or images scored since the last message"""
    total: int | None
    """steps of a training; None for images, whose number the flow knows"""


def tell(message: Progress) -> None:
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
