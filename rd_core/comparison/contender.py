"""One method with one seed, trained and calibrated like the others, and what it said of the judged images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.comparison.figures import PixelFigures
from rd_core.errors import ConfigError


@dataclass(frozen=True)
class Cost:
    """What a model costs, on the machine that trained it."""

    training_seconds: float
    """processor seconds of training and calibration"""
    images_per_second: float
    """of one processor, in scoring"""
    peak_memory: int
    """bytes of the process; 0: not measured"""
    model_bytes: int
    """of the weights file"""


@dataclass(frozen=True, eq=False)
class Contender:
    """A model that is compared."""

    method: str
    seed: int
    scores: NDArray[np.float64]
    """[n] of all judged images, finite"""
    threshold: float
    """at the promised false-alarm rate; an image is flagged when its score is above"""
    review: tuple[float, float]
    """(low, high): an image whose score is above low and up to high is undecided"""
    cost: Cost
    pixels: PixelFigures | None = None
    """of the images that report; None without masks"""
    learns_from_drawn: bool = False
    """whether its training draws defects as those that judge may be drawn, so that they flatter it"""


def check_contenders(contenders: Sequence[Contender], images: int) -> None:
    """Raise ConfigError for no contender, one that is there twice, or scores that are not one an image."""
    if not contenders:
        raise ConfigError(
            "no contender was scored, so nothing can be compared. Look at the errors of their trainings."
        )
    named = [(one.method, one.seed) for one in contenders]
    if len(set(named)) < len(named):
        raise ConfigError(f"a method and seed is there twice among {named}: it would weigh double. Give each once.")
    for one in contenders:
        if one.scores.shape != (images,):
            raise ConfigError(
                f"{one.method} with seed {one.seed} has scores of shape {one.scores.shape} for {images} judged "
                "images, so they cannot be matched. Give one score an image, in the order of the images."
            )
