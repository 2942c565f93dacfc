"""Settings of a category and of its method's models."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from rd_core.calibration.goals import Costs, Goal, WantedRecall
from rd_core.detectors.registry import settings_class
from rd_core.detectors.settings import COARSEST_STRIDE, DetectorSettings
from rd_core.errors import ConfigError
from rd_core.features.backbone_spec import teacher_spec
from rd_core.pictures.crop import Crop
from rd_core.pictures.image_view import ImageView
from rd_core.pictures.tiling import GRID, Tiling
from rd_core.settings import Precision

DEFAULT_METHOD, AUTO = "reverse_distillation", "auto"
"""AUTO: the method that a comparison names"""
OVERLAP = 4
"""a tile's side over the pixels that neighbours share (docs/decisions/0045)"""


class CategorySettings(BaseModel):
    """Settings that may differ between categories."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = DEFAULT_METHOD
    """detection method, see rd_core.detectors.registry; its own settings are in a table of its name. `auto`: the one
    that a comparison names (flows.comparison), which the first training makes, and which retrainings keep"""
    tile: int | None = None
    """pixels a side of overlapping square tiles that the networks see one by one; they learn from random crops as
    large. None, or "none" in a file: they see the whole image"""
    image_size: Literal["auto"] | int | tuple[int, int] = "auto"
    """size at which images are seen, the networks' input or what tiles cover: pixels, one number or [height, width];
    `auto`: chosen in a training by the size and shape of its normals, see rd_core.pictures.fitting_size, and kept in
    retrainings"""
    overlap: Annotated[int | None, Field(validate_default=True)] = None
    """pixels that neighbouring tiles share at least; None: a quarter of the tile"""
    map_stride: Literal[1, 2, 4] | None = None
    """side, in those pixels, of a pixel of the anomaly maps: 2 stores a quarter of what 1 does, 4 a sixteenth. None:
    the method's, which is 4, or 1 with the recipe `paper`"""
    crop: tuple[int | float, int | float, int | float, int | float] | None = None
    """rectangle of an image that is inspected, [top, left, height, width]: whole numbers are pixels, fractions up to
    1.0 are shares of the image's height and width. None: the whole image"""
    align: Literal["none", "shift", "rigid"] = "none"
    """moves every image so that the part lies where the median training normal has it: `shift` by whole pixels,
    `rigid` with a rotation too. It needs the extra `alignment` on every worker"""
    teacher: str = "efficientnet_lite0"
    teacher_weights: Path | None = None
    """a local file of teacher weights; without it the package, the cache or a download is used"""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """promised false-alarm rate: the share of normal images that may lie above the threshold"""
    calibration: Literal["auto", "split", "cross"] = "auto"
    """scores that set the threshold. `split`: of a quarter of the normals, kept apart from the training; `cross`: of
    all, each by a model that has not seen its part, which takes longer; `auto`: `split` where its normals can prove
    alpha, and for methods whose fit is too dear to be repeated, else `cross`"""
    extrapolate: bool = True
    """whether the threshold may rest on a fitted tail; false refuses the training where alpha is smaller than the
    normals can prove"""
    miss_cost: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    """cost of a defect that passes, in any unit; evaluations then name the alpha with the cheapest threshold"""
    alarm_cost: Annotated[float | None, Field(gt=0, allow_inf_nan=False, validate_default=True)] = None
    """cost of a good part that is stopped, in the same unit"""
    defect_share: Annotated[float | None, Field(gt=0, lt=1, validate_default=True)] = None
    """share of defects in production, which costs need: labelled images are another mix"""
    wanted_recall: Annotated[float | None, Field(gt=0, lt=1, validate_default=True)] = None
    """share of the defects to find; evaluations then name the alpha that finds it with the fewest false alarms"""
    part_pattern: str | None = None
    """regular expression over image names with a group `part`, or groups `view` and `serial`; see
    rd_core.calibration.holdout"""
    white_level: Annotated[float | None, Field(allow_inf_nan=False)] = None
    """the grey value that is white in images of more than 8 bits; 4095 for a 12-bit camera in 16-bit files. None: the
    highest value of the file, and signed, 32-bit and floating-point ones are refused"""
    black_level: Annotated[float | None, Field(allow_inf_nan=False, validate_default=True)] = None
    """the grey value that is black in such images; None: 0, and an image with lower values is refused"""
    max_pixels: Annotated[int, Field(ge=1)] = 100_000_000
    """an image with more is not decoded"""
    engine: Literal["auto", "torch", "openvino"] = "auto"
    """what computes scores on CPUs. `auto`: what each training, a retraining too, measured as faster where it ran, as
    the model card says. `torch`, or `openvino`, which needs the extra of that name on every worker: that, from the
    next partition on, whatever a card says. GPUs support torch only"""
    every_day: bool = True
    """a production day without an image of it is a silent camera, and ends its night as failed; false where it is
    made on some days only"""
    precision: Precision = "float32"
    """of networks trained from now on; `bfloat16` is faster on GPUs and CPUs that support it"""
    seed: int = 0
    tables: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """settings of each method's table"""

    @field_validator("image_size", mode="before")
    @classmethod
    def _is_a_size(cls, value: Any) -> Any:
        pair = isinstance(value, list | tuple)
        sides = value if pair else [value]
        if value != "auto" and ((pair and len(value) != 2) or not all(map(_is_whole, sides))):
            raise ValueError('it must be "auto", a number of pixels, or [height, width]')
        return value

    @field_validator("crop", mode="before")
    @classmethod
    def _has_four_numbers(cls, value: Any) -> Any:
        if value is not None and not (isinstance(value, list | tuple) and len(value) == 4):
            raise ValueError("it must be four numbers: [top, left, height, width]")
        if value is not None and all(type(number) is int and number <= 1 for number in value):
            raise ValueError(
                "whole numbers are pixels, and one pixel shows nothing. For shares write fractions: [0, 0, 1.0, 1.0]"
            )
        return value

    @field_validator("tile", "overlap", "crop", mode="before")
    @classmethod
    def _may_be_unset(cls, value: Any) -> Any:
        """TOML has no null, and a category may do without what the defaults set."""
        return None if value == "none" else value

    @field_validator("image_size", "tile")
    @classmethod
    def _multiple_of_the_stride(cls, value: str | int | tuple[int, int] | None, info: ValidationInfo) -> Any:
        if value is None or isinstance(value, str):
            return value
        covered = info.field_name == "image_size" and info.data.get("tile") is not None
        step, wanted_by = (
            (GRID, "the tiles' maps need to join") if covered else (COARSEST_STRIDE, "the networks need")
        )
        for side in value if isinstance(value, tuple) else (value,):
            if side < COARSEST_STRIDE or side % step:
                near = max(COARSEST_STRIDE, round(side / step) * step)
                raise ValueError(f"{side} pixels are no multiple of {step}, as {wanted_by}; {near} is")
            if covered and side < info.data["tile"]:
                raise ValueError(
                    f"tiles of {info.data['tile']} pixels do not fit into {side}: give more, or less tile"
                )
        return value

    @field_validator("tile")
    @classmethod
    def _of_a_method_without_places(cls, value: int | None, info: ValidationInfo) -> int | None:
        name = info.data.get("method")
        if value is not None and name and name != AUTO and settings_class(name).knows_places:
            raise ValueError(
                f"{name} keeps what is normal at each place of an image, and a tile has no place of its own: use "
                "another method, or no tile"
            )
        return value

    @field_validator("calibration")
    @classmethod
    def _of_a_method_that_cross_fits(cls, value: str, info: ValidationInfo) -> str:
        name = info.data.get("method")
        if value == "cross" and name and name != AUTO:
            settings_class(name).require_cross_fits()
        return value

    @field_validator("overlap")
    @classmethod
    def _tiles_cover(cls, value: int | None, info: ValidationInfo) -> int | None:
        tile, size = info.data.get("tile"), info.data.get("image_size")
        if tile is None and value is not None:
            raise ValueError("tiles overlap, and there are none: set tile, too")
        if tile is not None and size is not None:
            height, width = size if isinstance(size, tuple) else (tile if size == "auto" else size,) * 2
            Tiling(height, width, tile, tile // OVERLAP if value is None else value)
        return value

    @field_validator("crop")
    @classmethod
    def _holds_pixels(
        cls, value: tuple[float, float, float, float] | None
    ) -> tuple[float, float, float, float] | None:
        if value is not None and (why := Crop.fault(value)):
            raise ValueError(why)
        return value

    @field_validator("teacher")
    @classmethod
    def _known_teacher(cls, value: str) -> str:
        return teacher_spec(value).name

    @field_validator("method")
    @classmethod
    def _known_method(cls, value: str) -> str:
        try:
            return value if value == AUTO else settings_class(value).method
        except ConfigError as e:
            raise ConfigError(f"{e} Or auto: the one that a comparison names.") from e

    @field_validator("part_pattern")
    @classmethod
    def _has_groups(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            groups = set(re.compile(value).groupindex)
        except re.error as e:
            raise ValueError(f"not a regular expression: {e}") from e
        if "part" not in groups and not {"view", "serial"} <= groups:
            raise ValueError("part_pattern needs a named group `part`, or the groups `view` and `serial`")
        return value

    @field_validator("alarm_cost")
    @classmethod
    def _both_costs(cls, value: float | None, info: ValidationInfo) -> float | None:
        if "miss_cost" in info.data and (value is None) != (info.data["miss_cost"] is None):
            raise ValueError("miss_cost and alarm_cost decide together alone: give both or neither")
        return value

    @field_validator("defect_share")
    @classmethod
    def _with_costs(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is None and info.data.get("miss_cost") and info.data.get("alarm_cost"):
            raise ValueError(
                "costs need the share of defects in production, such as 0.01: it weighs one against the other"
            )
        return value

    @field_validator("wanted_recall")
    @classmethod
    def _one_goal(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("miss_cost"):
            raise ValueError("a wanted recall and costs may choose differently: give one of them")
        return value

    @field_validator("black_level")
    @classmethod
    def _below_white(cls, value: float | None, info: ValidationInfo) -> float | None:
        white = info.data.get("white_level")
        if white is not None and white <= (value or 0):
            raise ValueError(
                f"white_level {white:g} is not above {value or 0:g}: every pixel would be white or black"
            )
        return value

    @property
    def sure_method(self) -> str:
        """The method; for `auto` the default one, as long as no comparison names another."""
        return DEFAULT_METHOD if self.method == AUTO else self.method

    @property
    def goal(self) -> Goal | None:
        """What the threshold is to achieve besides alpha; None if nothing is said."""
        if self.miss_cost and self.alarm_cost and self.defect_share:
            return Costs(self.miss_cost, self.alarm_cost, self.defect_share)
        return WantedRecall(self.wanted_recall) if self.wanted_recall else None

    @property
    def height_width(self) -> tuple[int, int]:
        """Of a model that is trained from now on; with `auto` only until they are chosen."""
        if isinstance(self.image_size, str) and self.tile:
            return self.tile, self.tile
        if isinstance(self.image_size, str):
            return DetectorSettings.image_height, DetectorSettings.image_width
        return self.image_size if isinstance(self.image_size, tuple) else (self.image_size, self.image_size)

    @property
    def view(self) -> ImageView:
        """What a model trained from now on sees of an image."""
        height, width = self.height_width
        crop = None if self.crop is None else Crop.of(self.crop)
        overlap = (self.tile or 0) // OVERLAP if self.overlap is None else self.overlap
        return ImageView(height, width, crop=crop, tile=self.tile, overlap=overlap)

    def of_method(self, name: str, **own: Any) -> DetectorSettings:
        """Settings of a method's models; `own` overrides its table. ConfigError."""
        height, width = (self.tile, self.tile) if self.tile else self.height_width
        shared = {"teacher": self.teacher, "image_height": height, "image_width": width}
        shared |= {"precision": self.precision, "seed": self.seed}
        shared |= {} if self.map_stride is None else {"map_stride": self.map_stride}
        return settings_class(name).from_table({**self.tables.get(name, {}), **own, **shared})


def _is_whole(side: Any) -> bool:
    """Also of an environment variable's text."""
    try:
        return float(side).is_integer()
    except (TypeError, ValueError):
        return False
