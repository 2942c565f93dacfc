"""Bars that tell a training's phases apart, and go one way."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from flows.watching.progress import Listener
from tasks.worker.progress import Phase, Scored, Trained


@pytest.fixture
def bars() -> Progress:
    return Progress(console=Console(file=io.StringIO(), width=100))


def told(bars: Progress) -> list[tuple[str, float, float | None, str]]:
    return [(task.description, task.completed, task.total, task.fields["unit"]) for task in bars.tasks]


def train(phase: Phase, done: int = 0, total: int | None = None, category: str = "nut") -> tuple[float, Trained]:
    return 0.0, Trained(stage="train", category=category, phase=phase, done=done, total=total)


def inspect(done: int, category: str = "nut") -> tuple[float, Scored]:
    return 0.0, Scored(stage="inspect", category=category, done=done)


def test_every_phase_of_a_training_has_a_bar_of_its_own(bars: Progress) -> None:
    listen = Listener(bars, "train", {"nut": None, "bolt": None})
    waiting = ("bolt: reading", 0, None, "images")
    for message, shown in [
        (train("features", 8, 40), ("nut: features", 8, 40, "images")),
        (train("features", 40, 40), ("nut: features", 40, 40, "images")),
        (train("steps"), ("nut: steps", 0, None, "steps")),
        (train("steps", 1, 160), ("nut: steps", 1, 160, "steps")),
        (train("features", 16, 40), ("nut: steps", 1, 160, "steps")),  # late, or of a task that ran twice
        (train("steps", 90, 160), ("nut: steps", 90, 160, "steps")),
        (train("steps", 30, 160), ("nut: steps", 90, 160, "steps")),
        (train("threshold"), ("nut: threshold", 0, None, "")),
        (train("trained", 1, 1), ("nut: trained", 1, 1, "")),
        (train("judging"), ("nut: comparison", 0, None, "")),
    ]:
        listen(message)
        assert told(bars) == [shown, waiting]


def test_a_bar_of_images_never_passes_its_end(bars: Progress) -> None:
    listen = Listener(bars, "inspect", {"nut": 24})
    for done, seen in ((16, 16), (8, 24), (16, 24)):
        listen(inspect(done))
        assert told(bars) == [("inspect nut", seen, 24, "images")]


def test_messages_of_others_move_nothing(bars: Progress) -> None:
    listen = Listener(bars, "inspect", {"nut": 24})
    for message in (inspect(3, "bolt"), train("steps", 3, 9)):
        listen(message)
    assert told(bars) == [("inspect nut", 0, 24, "images")]
