"""Every setting of PaDiM, each with its default in this one place."""

from dataclasses import dataclass
from typing import ClassVar

from rd_core.detectors.settings import DetectorSettings
from rd_core.errors import ConfigError
from rd_core.features.backbone_spec import teacher_spec

STRIDE = 4
"""pixels from one Gaussian to the next"""


@dataclass(frozen=True)
class PaDiMSettings(DetectorSettings):
    """Which Gaussians there are, and how they are kept from being singular."""

    method: ClassVar[str] = "padim"

    dimensions: int = 100
    """of each Gaussian, drawn from the teacher's channels at random; the paper has 100 for ResNet18, 550 for a wide
    ResNet50. Disk, memory and time grow with their square"""
    ridge: float = 0.01
    """added to the diagonal of every covariance. With fewer normals than dimensions, what they do not vary in is
    judged by it alone"""
    standardise: bool = False
    """whether channels have variance 1, over all positions, before the ridge is added; False: as in the paper"""
    gaussian_bytes: int = 1024**3
    """the Gaussians may take so much on disk and in memory, and twice that while they are fitted"""

    def __post_init__(self) -> None:
        super().__post_init__()
        channels = sum(teacher_spec(self.teacher).channels)
        if not 1 <= self.dimensions <= channels:
            raise ConfigError(
                f"dimensions {self.dimensions} cannot be drawn from the {channels} channels of {self.teacher}, so "
                f"nothing was built. Give 1 to {channels}."
            )
        if not 1e-6 <= self.ridge <= 1e6:
            raise ConfigError(
                f"ridge {self.ridge} is not in [0.000001, 1000000]; covariances of few normals would be singular, or "
                "count for nothing. The paper has 0.01."
            )
        if self.needed_bytes > self.gaussian_bytes:
            raise ConfigError(
                f"{self.dimensions} dimensions at {self.image_height} x {self.image_width} pixels need "
                f"{self.needed_bytes:,} bytes for their Gaussians, more than the gaussian_bytes "
                f"{self.gaussian_bytes:,}, so nothing was fitted. Take fewer dimensions or smaller images, or raise "
                "the limit."
            )

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of Gaussians."""
        return self.image_height // STRIDE, self.image_width // STRIDE

    @property
    def needed_bytes(self) -> int:
        """Of the Gaussians: H/4 W/4 d^2 float32."""
        rows, columns = self.grid
        return 4 * rows * columns * self.dimensions**2
