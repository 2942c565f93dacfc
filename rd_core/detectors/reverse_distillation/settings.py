"""Settings of Reverse Distillation and its training, with their defaults."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

from rd_core.detectors.settings import OF_EVERY_METHOD, DetectorSettings
from rd_core.errors import ConfigError
from rd_core.settings import Record, refuse_unknown

RECIPES = ("robust", "paper")
DEFAULT_RECIPE = "robust"


@dataclass(frozen=True)
class TrainingSettings(Record):
    """Training of bottleneck and student. The defaults are the recipe "robust"."""

    steps: int | None = 600
    """optimiser steps; None if `epochs` is set"""
    epochs: int | None = None
    """passes over the training images, mirrored ones included; None if `steps` is set"""
    seconds: float | None = None
    """additional limit: the schedule ends, fully annealed, after this time; None: no limit"""
    batch_size: int = 8
    """images a step"""
    learning_rate: float = 1e-2
    """peak of the schedule"""
    discriminator_rate: float = 0.3
    """learning rate of the discriminators as a share of `learning_rate`; at the student's rate they overfit"""
    optimiser: Literal["adam", "adamw"] = "adamw"
    """adamw decouples weight decay from the gradient"""
    betas: tuple[float, float] = (0.9, 0.999)
    """decay of the optimiser's moments"""
    weight_decay: float = 1e-4
    """of adamw"""
    schedule: Literal["constant", "one_cycle"] = "one_cycle"
    """one_cycle: a cosine rise over the first `warm_up` of the steps, then a cosine fall"""
    warm_up: float = 0.2
    """share of the steps during which one_cycle rises"""
    loss: Literal["per_position", "flattened"] = "per_position"
    """per_position: Eq. 1-2 of the paper; flattened: what the authors' code computes"""
    magnitude_loss: float = 1.0
    """weight of the smooth L1 distance beside `loss`, for the features' magnitude"""
    pseudo_anomalies: int = 4
    """copies of each training image with synthetic defects, at most as many as are shown; a copy's target is the
    normal image's features. 0: normal images only, as in the paper"""
    pseudo_anomalies_in_all: int = 1000
    """least number of such copies in all, or as many as are shown: few normals get more copies each, so that the
    student sees many different defects"""
    clean_share: float = 0.25
    """share of a batch shown without synthetic defects"""
    mirrored_below: int = 150
    """with fewer training normals, of crops with fewer images that they are cut from, mirrored ones are added if
    held-out normals allow it (see `rd_core.detectors.reverse_distillation.mirroring`). 0: never, as where a mirrored
    part is a defect"""
    validate_every: int = 50
    """steps between two validations on the early-stop normals"""
    patience: int | None = 5
    """validations without a new best before training stops; None: no early stop"""
    keep: Literal["best", "last"] = "best"
    """which weights become the model: those of the best validation, or those of the last step"""

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError(
                f"steps {self.steps} and epochs {self.epochs}: the length of training is ambiguous. "
                "Give exactly one of them."
            )
        for name in (
            "steps",
            "epochs",
            "seconds",
            "batch_size",
            "learning_rate",
            "discriminator_rate",
            "validate_every",
            "patience",
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name} {value} would train nothing. Give a number above 0.")
        if self.batch_size < 2:
            raise ConfigError("batch_size 1 gives batch norm nothing to average. Give 2 or more.")
        if not 0 <= self.warm_up < 1:
            raise ConfigError(f"warm_up {self.warm_up} is not a share of the steps. Give one in [0, 1).")
        if not 0 <= self.clean_share <= 1:
            raise ConfigError(f"clean_share {self.clean_share} is not a share of a batch. Give one in [0, 1].")
        for name in ("magnitude_loss", "pseudo_anomalies", "pseudo_anomalies_in_all", "mirrored_below"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"{name} {getattr(self, name)} must not be negative: the student would learn the opposite, or "
                    "nothing. Give 0 to leave it out."
                )

    def total_steps(self, normals: int) -> int:
        """Steps for this number of training normals."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None  # __post_init__ holds that one of both is set
        return self.epochs * -(-normals // self.batch_size)

    def synthetic_copies(self, normals: int) -> int:
        """Copies of each of `normals` training images with synthetic defects, at most as many as are shown: each
        costs the teacher a pass."""
        if not self.pseudo_anomalies:
            return 0
        shown = self.total_steps(normals) * min(self.batch_size, normals) * (1 - self.clean_share)
        wanted = max(self.pseudo_anomalies, math.ceil(self.pseudo_anomalies_in_all / normals))
        return max(1, min(wanted, math.ceil(shown / normals)))


_OF_TRAINING = [field.name for field in fields(TrainingSettings)]


@dataclass(frozen=True)
class ReverseDistillationSettings(DetectorSettings):
    """Networks, training and score."""

    method: ClassVar[str] = "reverse_distillation"
    title: ClassVar[str] = "reverse distillation"

    bottleneck: Literal["mff_oce", "oce", "pretrained"] = "mff_oce"
    """Table 5 of the paper: fusion and embedding, embedding only, or the teacher's frozen fourth stage"""
    fusion: Literal["compressed", "concatenated"] = "compressed"
    """of mff_oce: with a 1x1 convolution (the paper's text) or without (the authors' code)"""
    map_stages: tuple[Literal[1, 2, 3], ...] = (1, 2, 3)
    """stages whose distances make the map (Table 7), ascending"""
    standardise: bool = True
    """whether the teacher's channels are standardised to mean 0 and deviation 1 over the training normals"""
    magnitude: bool = True
    """whether the map blends the difference's magnitude with its direction, in shares fitted to synthetic defects;
    False: direction only, as in the paper"""
    discriminator_cells: tuple[Literal[16, 32, 64], ...] = (16, 32, 64)
    """sides, in pixels, of the cells that discriminators add to the map, ascending; see
    `rd_core.detectors.reverse_distillation.cell_discriminator`. Empty: the student's map only, as in the paper"""
    whitening_ridge: float = 0.3
    """added to each channel's variance of 1 before cells are whitened; it limits the weight of directions in which
    few normals vary (docs/decisions/0034)"""
    smoothing_sigma: float = 2.5
    """standard deviation of the Gaussian over the anomaly map, in pixels of the image; 0: none. 4 in the paper"""
    align_corners: bool = False
    """whether a stage's outer distances lie on the image's edges, as in the authors' code; False: at the centres of
    their pixels (docs/decisions/0034)"""
    score: Literal["max", "sum"] = "max"
    """maximum of the map (defects, section 3.3 of the paper) or its sum (one-class novelty, section 4.2)"""
    training: TrainingSettings = TrainingSettings()
    """training of bottleneck and student"""
    recipe: str = DEFAULT_RECIPE
    """name of the recipe that these settings derive from"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.map_stages or list(self.map_stages) != sorted(set(self.map_stages)):
            raise ConfigError(
                f"map_stages {self.map_stages} leave no map, or count a stage twice. Give some of 1, 2, 3 in rising "
                "order."
            )
        cells = self.discriminator_cells
        if list(cells) != sorted(set(cells)):
            raise ConfigError(
                f"discriminator_cells {cells} are not in rising order, or count one twice. Give each side once, in "
                "rising order, or none."
            )
        if self.bottleneck == "pretrained" and self.standardise:
            raise ConfigError(
                'bottleneck "pretrained" needs raw features, but standardise is true, so the embedding would be '
                'meaningless. Set standardise to false, as in the recipe "paper".'
            )
        if not 1e-4 <= self.whitening_ridge <= 1e4:
            raise ConfigError(
                f"whitening_ridge {self.whitening_ridge} is not in [0.0001, 10000]: rounding would dominate the map, "
                "or cells would not be whitened. Give one inside, such as the default 0.3."
            )

    @property
    def learns_from_drawn(self) -> bool:
        """See `DetectorSettings.learns_from_drawn`."""
        return bool(self.training.pseudo_anomalies or self.magnitude or self.discriminator_cells)

    def looked_at(self, images: int) -> int:
        """See `DetectorSettings.looked_at`."""
        return images + self.training.total_steps(images) * self.training.batch_size

    @classmethod
    def table_names(cls) -> list[str]:
        """See `DetectorSettings.table_names`; training settings stand beside the others."""
        return [name for name in super().table_names() if name != "training"] + _OF_TRAINING

    @classmethod
    def from_table(cls, values: Mapping[str, Any]) -> Self:
        """Build from the named recipe and the other values; `steps` replaces its `epochs` and vice versa."""
        refuse_unknown(values, [*cls.table_names(), *OF_EVERY_METHOD], cls.method)
        name = values.get("recipe", DEFAULT_RECIPE)
        check_recipe(name)
        begun = _PAPER if name == "paper" else ReverseDistillationSettings()
        length = {other: None for given, other in (("steps", "epochs"), ("epochs", "steps")) if given in values}
        training = {key: value for key, value in values.items() if key in _OF_TRAINING}
        own = {key: value for key, value in values.items() if key not in _OF_TRAINING}
        return cls.from_dict(
            {**begun.to_dict(), **own, "training": {**begun.training.to_dict(), **length, **training}}
        )

    @classmethod
    def of_paper(cls, teacher: str | None = None) -> dict[str, Any]:
        """See `DetectorSettings.of_paper`."""
        return {**super().of_paper(teacher), "recipe": "paper"}

    def of_weights(self) -> Self:
        """See `DetectorSettings.of_weights`."""
        return replace(super().of_weights(), training=TrainingSettings(), recipe=DEFAULT_RECIPE)


def recipe(name: str = DEFAULT_RECIPE, **overrides: Any) -> ReverseDistillationSettings:
    """Settings of a recipe; `overrides` are fields of ReverseDistillationSettings and TrainingSettings."""
    return ReverseDistillationSettings.from_table({"recipe": name, **overrides})


def check_recipe(name: str) -> None:
    """Raise ConfigError unless `name` is a recipe."""
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1) or [DEFAULT_RECIPE]
        raise ConfigError(
            f"there is no recipe {name!r}, so nothing was trained. Did you mean {near[0]!r}? "
            f"Known: {', '.join(RECIPES)}."
        )


_PAPER = ReverseDistillationSettings(
    recipe="paper",
    map_stride=1,
    standardise=False,
    magnitude=False,
    discriminator_cells=(),
    smoothing_sigma=4.0,
    align_corners=True,
    training=TrainingSettings(
        steps=None,
        epochs=200,
        batch_size=16,
        learning_rate=5e-3,
        optimiser="adam",
        betas=(0.5, 0.999),
        weight_decay=0.0,
        schedule="constant",
        magnitude_loss=0.0,
        pseudo_anomalies=0,
        mirrored_below=0,
        patience=None,
        keep="last",
    ),
)
