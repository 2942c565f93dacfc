"""What every method is told: the settings that all of them share, known without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

from rd_core.errors import ConfigError
from rd_core.settings import Precision, Record

COARSEST_STRIDE = 32
MICRO_BATCH = 16
"""small images that are scored together. With fewer each takes longer, with more hardly less (docs/decisions/0020)"""
MICRO_BATCH_PIXELS = MICRO_BATCH * 256 * 256
"""of all images that are scored together, at most: memory grows with them, and they fill the processor"""
OF_EVERY_METHOD = ("teacher", "image_height", "image_width", "precision", "seed")
"""what a category has, whatever its method: not in the method's own table of settings"""


@dataclass(frozen=True)
class DetectorSettings(Record):
    """A method's settings inherit these, add their own, and may have other defaults."""

    method: ClassVar[str]
    """the method's name in settings, cards and weights files"""

    teacher: str = "efficientnet_lite0"
    """name of the frozen encoder, see `rd_core.features.backbone_spec.TEACHERS`"""
    image_height: int = 256
    """pixels, a multiple of 32"""
    image_width: int = 256
    """pixels, a multiple of 32"""
    smoothing_sigma: float = 4.0
    """of the Gaussian over the anomaly map, in pixels of the map; 0 leaves it as it is"""
    precision: Precision = "float32"
    """what the networks compute in, to train and to score. Half the bits are quicker where
    `rd_core.kernels.precision.is_quick` says so; map and score are float32 with either"""
    seed: int = 0
    """of all that a fit draws: initial weights, the order of images, random projections"""
    feature_cache_bytes: int = 4 * 1024**3
    """disk for the teacher's features in float16; above it they are computed anew at every use"""

    def __post_init__(self) -> None:
        for name in ("image_height", "image_width"):
            _check_side(name, getattr(self, name))
        if not 0 <= self.smoothing_sigma <= 64:
            raise ConfigError(
                f"smoothing_sigma {self.smoothing_sigma} is not in [0, 64]; the map would be lost. The papers use 4."
            )
        if self.feature_cache_bytes < 0:
            raise ConfigError(f"feature_cache_bytes {self.feature_cache_bytes} is negative. Give 0 for no cache.")

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

    @classmethod
    def table_names(cls) -> list[str]:
        """What the method's own table of a category's settings may name."""
        return [field.name for field in fields(cls) if field.name not in OF_EVERY_METHOD]

    @classmethod
    def from_table(cls, values: Mapping[str, Any]) -> Self:
        """The settings of such a table and of OF_EVERY_METHOD; what is missing takes its default. ConfigError."""
        return cls.from_dict(values)

    def of_weights(self) -> Self:
        """These settings, with all at its default that only decides how a fit goes: detectors that agree in the rest
        can go on from each other's weights."""
        return replace(self, seed=DetectorSettings.seed, feature_cache_bytes=DetectorSettings.feature_cache_bytes)


def _check_side(name: str, value: int) -> None:
    if value < COARSEST_STRIDE or value % COARSEST_STRIDE:
        below = max(COARSEST_STRIDE, value // COARSEST_STRIDE * COARSEST_STRIDE)
        near = sorted({below, max(value, 0) // COARSEST_STRIDE * COARSEST_STRIDE + COARSEST_STRIDE})
        raise ConfigError(
            f"{name} {value} is not a multiple of {COARSEST_STRIDE}, that of the teacher's coarsest grid. "
            f"Use {' or '.join(map(str, near))}: images are resized to it."
        )
