"""How far the tasks are, told from the workers to whoever watches the run."""

from typing import Literal, TypedDict

from distributed import get_worker

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
    try:
        worker = get_worker()
    except ValueError:
        return
    worker.log_event(TOPIC, dict(message))
