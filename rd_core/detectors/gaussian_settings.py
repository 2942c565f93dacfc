"""Settings of methods that keep a Gaussian for every position of an image; imports no torch."""

from dataclasses import dataclass
from typing import Any, ClassVar

from rd_core.detectors.settings import PAPER_TEACHER, DetectorSettings
from rd_core.errors import ConfigError
from rd_core.features.backbone_spec import teacher_spec

STRIDE = 4
"""pixels between Gaussians"""


@dataclass(frozen=True)
class GaussianSettings(DetectorSettings):
    """Size and regularisation of the Gaussians."""

    knows_places: ClassVar[bool] = True

    dimensions: int = 100
    """of each Gaussian, drawn at random from the teacher's channels; 100 (ResNet18) and 550 (wide ResNet50) in the
    paper. Disk, memory and time grow with its square"""
    ridge: float = 0.01
    """added to the diagonal of every covariance; with fewer normals than dimensions it alone decides about the
    directions in which they do not vary"""
    gaussian_bytes: int = 1024**3
    """limit of the Gaussians on disk and in memory; a fit takes three times as much"""

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

    @classmethod
    def of_paper(cls, teacher: str | None = None) -> dict[str, Any]:
        """See `DetectorSettings.of_paper`: 550 dimensions take 5 GB, and three times that in a fit."""
        values = super().of_paper(teacher)
        wide = {"dimensions": 550, "gaussian_bytes": 6 * 1024**3}
        return values | (wide if values["teacher"] == PAPER_TEACHER else {})

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of Gaussians."""
        return self.image_height // STRIDE, self.image_width // STRIDE

    @property
    def needed_bytes(self) -> int:
        """Bytes of the Gaussians: 4 H/4 W/4 d^2."""
        rows, columns = self.grid
        return 4 * rows * columns * self.dimensions**2
