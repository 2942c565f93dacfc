"""Every setting of a model and of its training, each with its default in this one place."""

import difflib
import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, get_args

from pydantic import TypeAdapter, ValidationError

from rd_core.errors import ConfigError

COARSEST_STRIDE = 32
MICRO_BATCH = 16
"""small images that are scored together. With fewer each takes longer, with more hardly less (docs/decisions/0020)"""
MICRO_BATCH_PIXELS = MICRO_BATCH * 256 * 256
"""of all images that are scored together, at most: memory grows with them, and they fill the processor"""
RESIZING_VERSION = "bilinear-antialias-1"
"""of `rd_core.pictures.preprocessing.resize`; changes whenever the same picture would give other pixels"""
RECIPES = ("robust", "paper")
DEFAULT_RECIPE = "robust"
Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class _Record:
    """JSON round trip for the frozen dataclasses below."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `json.dumps` takes; `from_dict` gives the same record back."""
        plain = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The record of `values`; a missing field takes its default.

        Raises ConfigError for an unknown field (it names the nearest known one) or a value of the wrong type.
        """
        known = [field.name for field in fields(cls)]
        refuse_unknown(values, known, cls.__name__)
        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as e:
            first = e.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ConfigError(
                f"{cls.__name__}.{place} = {first['input']!r}: {first['msg']}. Nothing was built from it; "
                "correct the value."
            ) from e


def refuse_unknown(values: dict[str, Any], known: list[str], what: str) -> None:
    """Raise ConfigError for the first key of `values` that is not in `known`."""
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
            raise ConfigError(f"{what} has no setting {name!r}; it would have been ignored. {hint}")


@dataclass(frozen=True)
class ModelConfig(_Record):
    """What the networks are and how an image becomes a score."""

    teacher: str = "efficientnet_lite0"
    """name of the frozen encoder, see `rd_core.features.backbone.TEACHERS`"""
    image_height: int = 256
    """pixels, a multiple of 32"""
    image_width: int = 256
    """pixels, a multiple of 32"""
    bottleneck: Literal["mff_oce", "oce", "pretrained"] = "mff_oce"
    """Table 5 of the paper: fusion and embedding, embedding alone, or the teacher's own frozen fourth stage"""
    fusion: Literal["compressed", "concatenated"] = "compressed"
    """of mff_oce: stages joined with a 1x1 convolution (the paper's text) or without one (the authors' code)"""
    map_stages: tuple[Literal[1, 2, 3], ...] = (1, 2, 3)
    """the stages whose distances make the map (Table 7), in rising order"""
    standardise: bool = True
    """teacher features per channel to mean 0 and deviation 1 over the training normals"""
    magnitude: bool = True
    """the map blends the difference's magnitude with its direction, in shares fitted on made-up defects; False: the
    paper's map of directions alone"""
    discriminator_cells: tuple[Literal[16, 32, 64], ...] = (16, 32, 64)
    """the map holds how little cells of so many pixels are like the normals', by networks that learn to tell them
    from cells that were moved, in rising order. Empty: what the student gives alone, as in the paper"""
    whitening_ridge: float = 0.3
    """added to each channel's variance of 1 before the discriminators' cells are whitened: without it a direction in
    which few normals do not vary would count without limit, and with little its noise does (docs/decisions/0015)"""
    smoothing_sigma: float = 2.5
    """of the Gaussian over the anomaly map, in pixels of the map; 0 leaves it as it is. The paper's is 4"""
    align_corners: bool = False
    """each stage's distances are stretched until the outer ones lie on the image's edges, as in the authors' code;
    False: each lies in the middle of the pixels that it is of (docs/decisions/0021)"""
    score: Literal["max", "sum"] = "max"
    """max of the map (defects, section 3.3 of the paper) or its sum (one-class novelty, section 4.2)"""
    precision: Precision = "float32"
    """what the networks compute in, to train and to score. Half the bits are quicker where
    `rd_core.kernels.precision.is_quick` says so; map and score are float32 with either"""

    def __post_init__(self) -> None:
        for name in ("image_height", "image_width"):
            _check_side(name, getattr(self, name))
        if not self.map_stages or list(self.map_stages) != sorted(set(self.map_stages)):
            raise ConfigError(
                f"map_stages {self.map_stages} is no choice of stages: there would be no map, or a stage would count "
                "twice. Give some of 1, 2, 3 in rising order."
            )
        cells = self.discriminator_cells
        if list(cells) != sorted(set(cells)):
            raise ConfigError(
                f"discriminator_cells {cells} are not in rising order, or one is there twice: its share would count "
                "twice. Give each side once, in rising order, or none."
            )
        if self.bottleneck == "pretrained" and self.standardise:
            raise ConfigError(
                'bottleneck "pretrained" takes features as the teacher gives them, but standardise is on; the '
                'embedding would mean nothing. Set standardise to false (the recipe "paper" does).'
            )
        if not 1e-4 <= self.whitening_ridge <= 1e4:
            raise ConfigError(
                f"whitening_ridge {self.whitening_ridge} is not in [0.0001, 10000]; rounding would fill the map, or "
                "cells would not be whitened at all. The default is 0.3."
            )
        if not 0 <= self.smoothing_sigma <= 64:
            raise ConfigError(
                f"smoothing_sigma {self.smoothing_sigma} is not in [0, 64]; the map would be lost. The paper uses 4."
            )

    @property
    def micro_batch(self) -> int:
        """Images that are scored together, always, as kernels choose their summation order by shape: the largest
        power of two up to MICRO_BATCH that has no more than MICRO_BATCH_PIXELS, or one."""
        fitting = MICRO_BATCH_PIXELS // (self.image_height * self.image_width)
        return min(MICRO_BATCH, 1 << max(fitting, 1).bit_length() - 1)

    @property
    def micro_batch_shape(self) -> tuple[int, int, int, int]:
        """(B, H, W, 3) of the uint8 images that are scored together."""
        return self.micro_batch, self.image_height, self.image_width, 3


@dataclass(frozen=True)
class TrainingConfig(_Record):
    """How bottleneck and student are trained. The defaults are the recipe "robust"."""

    recipe: str = DEFAULT_RECIPE
    """the recipe these settings began as"""
    steps: int | None = 600
    """optimiser steps; or None when `epochs` counts"""
    epochs: int | None = None
    """passes over what is trained on, mirrored normals among it; or None when `steps` counts"""
    seconds: float | None = None
    """a further budget: the steps end, fully annealed, after this time; None: no limit"""
    batch_size: int = 8
    """images a step"""
    learning_rate: float = 1e-2
    """the peak of the schedule"""
    discriminator_rate: float = 0.3
    """of the discriminators, as a share of `learning_rate`; as fast as the student it would learn by heart"""
    optimiser: Literal["adam", "adamw"] = "adamw"
    """adamw decays the weights apart from the gradient"""
    betas: tuple[float, float] = (0.9, 0.999)
    """decay of the optimiser's two moments"""
    weight_decay: float = 1e-4
    """of adamw"""
    schedule: Literal["constant", "one_cycle"] = "one_cycle"
    """one_cycle: a cosine rise over the first `warm_up` of the steps, a cosine fall over the rest"""
    warm_up: float = 0.2
    """share of the steps in which one_cycle rises"""
    loss: Literal["per_position", "flattened"] = "per_position"
    """per_position: Eq. 1-2 of the paper; flattened: what the authors' code computes"""
    magnitude_loss: float = 1.0
    """weight of the smooth L1 distance beside `loss`, so that the student learns the features' magnitude too"""
    pseudo_anomalies: int = 4
    """marred copies of every training image, as far as they will be shown; shown one of them, the student is to give
    back the unmarred image's features. 0: it sees normal images alone, as in the paper"""
    pseudo_anomalies_in_all: int = 1000
    """at least so many marred copies, or as many as the student is shown: few normals have more copies each, or it
    would see the same few defects again and again"""
    clean_share: float = 0.25
    """of a batch, shown unmarred all the same"""
    mirrored_below: int = 150
    """with fewer training normals, each is trained on mirrored, too, if held-out ones show that mirrored images are
    as normal (see `rd_core.detectors.reverse_distillation.mirroring`). 0: never, as where a mirrored part is a
    defect"""
    validate_every: int = 50
    """steps between two looks at the early-stop normals"""
    patience: int | None = 5
    """looks without a new best before training stops; None: never stops early"""
    keep: Literal["best", "last"] = "best"
    """which weights become the model: those of the best look, or those of the last step"""
    seed: int = 0
    """of the initial weights and of the order of images"""
    feature_cache_bytes: int = 4 * 1024**3
    """disk for the teacher's features in float16; above it they are computed anew at every step"""

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError(
                f"steps {self.steps} and epochs {self.epochs}: the length of training is not clear. "
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
            raise ConfigError(f"warm_up {self.warm_up} is no share of the steps. Give one in [0, 1).")
        if not 0 <= self.clean_share <= 1:
            raise ConfigError(f"clean_share {self.clean_share} is no share of a batch. Give one in [0, 1].")
        for name in ("magnitude_loss", "pseudo_anomalies", "pseudo_anomalies_in_all", "mirrored_below"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"{name} {getattr(self, name)} must not be negative: the student would learn the opposite, or "
                    "nothing. Give 0 to leave it out."
                )
        if self.feature_cache_bytes < 0:
            raise ConfigError(f"feature_cache_bytes {self.feature_cache_bytes} is negative. Give 0 for no cache.")

    def total_steps(self, normals: int) -> int:
        """Steps for that many training normals."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None  # __post_init__ holds that one of both is set
        return self.epochs * -(-normals // self.batch_size)

    def marred_copies(self, normals: int) -> int:
        """Of each of that many training normals: no more than the student will be shown, for each costs the teacher
        a pass."""
        if not self.pseudo_anomalies:
            return 0
        shown = self.total_steps(normals) * min(self.batch_size, normals) * (1 - self.clean_share)
        wanted = max(self.pseudo_anomalies, math.ceil(self.pseudo_anomalies_in_all / normals))
        return max(1, min(wanted, math.ceil(shown / normals)))


def recipe(name: str = DEFAULT_RECIPE, **overrides: Any) -> TrainingConfig:
    """The training settings of a recipe; `overrides` are fields of TrainingConfig.

    `steps` overrides a recipe's epochs and the other way round. Raises ConfigError for unknown names.
    """
    check_recipe(name)
    settings = TrainingConfig() if name == "robust" else _PAPER_TRAINING
    refuse_unknown(overrides, [field.name for field in fields(TrainingConfig)], f"recipe {name!r}")
    if "steps" in overrides and "epochs" not in overrides:
        overrides["epochs"] = None
    if "epochs" in overrides and "steps" not in overrides:
        overrides["steps"] = None
    return replace(settings, **overrides)


def model_config(recipe_name: str = DEFAULT_RECIPE, **overrides: Any) -> ModelConfig:
    """The model settings that belong to a recipe; `overrides` are fields of ModelConfig."""
    check_recipe(recipe_name)
    refuse_unknown(overrides, [field.name for field in fields(ModelConfig)], "ModelConfig")
    return ModelConfig(**{**(_PAPER_MODEL if recipe_name == "paper" else {}), **overrides})


def check_recipe(name: str) -> None:
    """Raise ConfigError unless `name` is a recipe."""
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1) or [DEFAULT_RECIPE]
        raise ConfigError(
            f"there is no recipe {name!r}, so nothing was trained. Did you mean {near[0]!r}? "
            f"Known: {', '.join(RECIPES)}."
        )


def _check_side(name: str, value: int) -> None:
    if value < COARSEST_STRIDE or value % COARSEST_STRIDE:
        below = max(COARSEST_STRIDE, value // COARSEST_STRIDE * COARSEST_STRIDE)
        near = sorted({below, max(value, 0) // COARSEST_STRIDE * COARSEST_STRIDE + COARSEST_STRIDE})
        raise ConfigError(
            f"{name} {value} is not a multiple of {COARSEST_STRIDE}; the student could not mirror "
            f"the teacher's grids. Use {' or '.join(map(str, near))}: images are resized to it."
        )


_PAPER_MODEL: dict[str, Any] = {
    "standardise": False,
    "magnitude": False,
    "discriminator_cells": (),
    "smoothing_sigma": 4.0,
    "align_corners": True,
}
_PAPER_TRAINING = TrainingConfig(
    recipe="paper",
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
)
