"""Settings shared by all methods; imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

from rd_core.errors import ConfigError
from rd_core.settings import Precision, Record

COARSEST_STRIDE = 32
MICRO_BATCH = 16
"""most images scored together (docs/decisions/0020)"""
MICRO_BATCH_PIXELS = MICRO_BATCH * 256 * 256
"""most pixels scored together, which bounds memory"""
PAPER_TEACHER = "wide_resnet50_2"
"""of most papers"""
OF_EVERY_METHOD = ("teacher", "image_height", "image_width", "map_stride", "precision", "seed")
"""settings of a category that do not belong to its method's table"""


@dataclass(frozen=True)
class DetectorSettings(Record):
    """Base of a method's settings, which add fields and may change defaults."""

    method: ClassVar[str]
    """the method's name in settings, model cards and weights files"""
    title: ClassVar[str]
    """its name in prose and tables"""
    knows_places: ClassVar[bool] = False
    """whether it keeps what is normal at each place of an image, of which a tile has none"""
    cross_fits: ClassVar[bool] = True
    """whether a fit judges normals by models without their parts; False where it is too dear to be repeated"""
    remembers: ClassVar[bool] = False
    """whether what it keeps, and the time of its fit, grow with the images; it then learns from fewer crops"""

    teacher: str = "efficientnet_lite0"
    """name of the frozen encoder, see `rd_core.features.backbone_spec.TEACHERS`"""
    image_height: int = 256
    """pixels, a multiple of 32"""
    image_width: int = 256
    """pixels, a multiple of 32"""
    map_stride: Literal[1, 2, 4] = 4
    """side, in pixels of the image, of a pixel of the anomaly map, which is the mean over it (docs/decisions/0048)"""
    smoothing_sigma: float = 4.0
    """standard deviation of the Gaussian over the anomaly map, in pixels of the image; 0: none"""
    precision: Precision = "float32"
    """number type of the networks in training and scoring; bfloat16 is faster where
    `rd_core.kernels.precision.is_quick`. Maps and scores are float32 with either"""
    seed: int = 0
    """of all random draws of a fit: initial weights, image order, projections"""
    feature_cache_bytes: int = 4 * 1024**3
    """disk for the teacher's features in float16; a larger set is recomputed at every use"""

    def __post_init__(self) -> None:
        for name in ("image_height", "image_width"):
            _check_side(name, getattr(self, name))
        if not 0 <= self.smoothing_sigma <= 64:
            raise ConfigError(
                f"smoothing_sigma {self.smoothing_sigma} is not in [0, 64]: the map would be lost. The papers use 4."
            )
        if self.feature_cache_bytes < 0:
            raise ConfigError(f"feature_cache_bytes {self.feature_cache_bytes} is negative. Give 0 for no cache.")

    def cost_in_words(self, train: int, early_stop: int) -> str | None:
        """What a fit to so many images and scoring cost, computed, of a method so dear that it is told before."""
        del train, early_stop
        return None

    def looked_at(self, images: int) -> int:
        """About how many images a fit to so many looks at, counting repetitions; an estimate of its time."""
        return images

    def refuse_unavailable(self) -> None:
        """Raise ConfigError if files that a fit needs, beside the backbone's weights, are not on this machine."""

    def files(self) -> list[tuple[str, int]]:
        """Names and bytes of these files, which tell them from others under the same settings."""
        return []

    @property
    def micro_batch(self) -> int:
        """Images scored together: the largest power of two up to MICRO_BATCH within MICRO_BATCH_PIXELS, or one.

        It is fixed, because kernels choose their summation order by shape.
        """
        fitting = MICRO_BATCH_PIXELS // (self.image_height * self.image_width)
        return min(MICRO_BATCH, 1 << max(fitting, 1).bit_length() - 1)

    @property
    def micro_batch_shape(self) -> tuple[int, int, int, int]:
        """Shape (B, H, W, 3) of a micro-batch of uint8 images."""
        return self.micro_batch, self.image_height, self.image_width, 3

    @property
    def learns_from_drawn(self) -> bool:
        """Whether the fit learns from synthetic defects, so that others of their kind flatter the method."""
        return False

    @property
    def map_size(self) -> tuple[int, int]:
        """(height, width) of the anomaly maps."""
        return self.image_height // self.map_stride, self.image_width // self.map_stride

    @classmethod
    def table_names(cls) -> list[str]:
        """Names allowed in the method's own settings table of a category."""
        return [field.name for field in fields(cls) if field.name not in OF_EVERY_METHOD]

    @classmethod
    def from_table(cls, values: Mapping[str, Any]) -> Self:
        """Build the settings from such a table and OF_EVERY_METHOD; missing ones take defaults. Raises
        ConfigError."""
        return cls.from_dict(values)

    @classmethod
    def require_cross_fits(cls) -> None:
        """Raise ConfigError if the method does not cross-fit."""
        if not cls.cross_fits:
            raise ConfigError(
                f"cross-fitting trains a model for each of several folds, and one training of {cls.method} takes too "
                'long for that, so nothing was trained. Set calibration = "split", or "auto", which then means it.'
            )

    @classmethod
    def of_paper(cls, teacher: str | None = None) -> dict[str, Any]:
        """The table with which the method's paper measures MVTec AD, by another teacher if one is given."""
        return {"teacher": teacher or PAPER_TEACHER, "map_stride": 1}

    def of_weights(self) -> Self:
        """Reset the settings that only affect how a fit runs. Detectors with equal results can start from each
        other's weights."""
        return replace(self, seed=DetectorSettings.seed, feature_cache_bytes=DetectorSettings.feature_cache_bytes)


def _check_side(name: str, value: int) -> None:
    if value < COARSEST_STRIDE or value % COARSEST_STRIDE:
        below = max(COARSEST_STRIDE, value // COARSEST_STRIDE * COARSEST_STRIDE)
        near = sorted({below, max(value, 0) // COARSEST_STRIDE * COARSEST_STRIDE + COARSEST_STRIDE})
        raise ConfigError(
            f"{name} {value} is not a multiple of {COARSEST_STRIDE}, that of the teacher's coarsest grid. "
            f"Use {' or '.join(map(str, near))}: images are resized to it."
        )
