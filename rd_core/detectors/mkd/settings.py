"""Settings of Multiresolution Knowledge Distillation and their defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from rd_core.detectors.settings import MICRO_BATCH_PIXELS, DetectorSettings
from rd_core.errors import ConfigError


@dataclass(frozen=True)
class MKDSettings(DetectorSettings):
    """Cloner, training and map. The source is the `teacher`: "vgg16" in the paper."""

    method: ClassVar[str] = "mkd"
    title: ClassVar[str] = "MKD"
    cross_fits: ClassVar[bool] = False

    standardise: bool = True
    """whether the source's channels get mean 0 and deviation 1 over the training normals; False in the paper"""
    cloner_width: int = 16
    """channels of the cloner's inner layers, 16 in the authors' code; a wider cloner repeats defects, too"""
    value_weight: float = 0.5
    """weight of the squared difference of values beside the difference of directions: lambda of the paper, 0.5 there
    for MVTec AD"""
    map_gradients: Literal["plain", "smooth"] = "plain"
    """the map's gradients: of the image, or the mean over `noisy_copies` of it (SmoothGrad), at the cost of as many
    scorings"""
    noisy_copies: int = 20
    """of SmoothGrad; 50 in the authors' code"""
    noise: float = 0.05
    """deviation of SmoothGrad's noise, as a share of the image's range of values"""
    opening_radius: int = 1
    """pixels of the disc that opens the map, which removes peaks of a smaller size; 1 is the authors' cross of five
    pixels. 0: none"""
    steps: int | None = 500
    """optimiser steps; None if `epochs` is set"""
    epochs: int | None = None
    """passes over the training images; None if `steps` is set"""
    batch_size: int = 16
    """images a step; fewer where they have more pixels than as many of 256 x 256, which bounds memory"""
    learning_rate: float = 1e-3
    """of Adam"""
    validate_every: int = 50
    """steps between two validations on the early-stop normals"""
    patience: int = 4
    """validations without a new best before training stops, and the best weights are kept. 0: all steps are taken and
    the last weights kept, as in the paper"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError(
                f"steps {self.steps} and epochs {self.epochs}: the length of training is ambiguous. "
                "Give exactly one of them."
            )
        for name in (
            "cloner_width", "value_weight", "noisy_copies", "noise", "steps", "epochs", "learning_rate",
            "validate_every",
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(
                    f"{name} {value} would leave nothing to learn or to average. Give a number above 0."
                )
        if self.batch_size < 2:
            raise ConfigError(f"batch_size {self.batch_size} gives batch norm nothing to average. Give 2 or more.")
        if self.patience < 0:
            raise ConfigError(f"patience {self.patience} is negative. Give 0 to take all steps.")
        if not 0 <= self.opening_radius <= 16:
            raise ConfigError(
                f"opening_radius {self.opening_radius} is not in [0, 16]: the map would be lost, or there is no such "
                "disc. The authors' is 1."
            )

    @classmethod
    def from_table(cls, values: Mapping[str, Any]) -> Self:
        """See `DetectorSettings.from_table`; `epochs` replaces the default `steps`."""
        return cls.from_dict({"steps": None, **values} if values.get("epochs") is not None else values)

    @classmethod
    def of_paper(cls, teacher: str | None = None) -> dict[str, Any]:
        """See `DetectorSettings.of_paper`; the number of epochs is the authors' code's."""
        size = {"image_height": 128, "image_width": 128}
        recipe = {"standardise": False, "epochs": 601, "batch_size": 64, "patience": 0}
        return {**super().of_paper(teacher or "vgg16"), **size, **recipe}

    def looked_at(self, images: int) -> int:
        """See `DetectorSettings.looked_at`."""
        return images + self.total_steps(images) * self.batch_size

    @property
    def batch(self) -> int:
        """Images a step: `batch_size` within MICRO_BATCH_PIXELS, but two."""
        return max(2, min(self.batch_size, MICRO_BATCH_PIXELS // (self.image_height * self.image_width)))

    def total_steps(self, normals: int) -> int:
        """Steps for this number of training normals."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None  # __post_init__ holds that one of both is set
        return self.epochs * -(-normals // self.batch)

    def of_weights(self) -> Self:
        """See `DetectorSettings.of_weights`."""
        fresh = type(self)()
        of_a_run = ("steps", "epochs", "batch_size", "learning_rate", "validate_every", "patience")
        return replace(super().of_weights(), **{name: getattr(fresh, name) for name in of_a_run})
