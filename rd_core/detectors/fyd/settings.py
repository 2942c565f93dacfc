"""Settings of Focus Your Distribution and their defaults."""

from dataclasses import dataclass
from typing import ClassVar

from rd_core.detectors.gaussian_settings import GaussianSettings
from rd_core.errors import ConfigError


@dataclass(frozen=True)
class FYDSettings(GaussianSettings):
    """Length of the training and bounds of the alignment, beside the Gaussians."""

    method: ClassVar[str] = "fyd"
    title: ClassVar[str] = "Focus Your Distribution"
    cross_fits: ClassVar[bool] = False

    alignment_steps: int = 400
    """of the image's transformer alone, by its L2 loss; cheap, for no backbone runs"""
    steps: int = 50
    """of the backbone, its transformers and the image's together; 0: the backbone stays as it is. With more it fits
    the training images and knows others less"""
    batch_size: int = 16
    """images a step, each paired with another; fewer where they are larger than 256 x 256"""
    learning_rate: float = 1e-4
    """of the backbone in Adam; transformers and heads learn ten times as fast"""
    alignment_weight: float = 1.0
    """of the L2 loss, beside that of similarity"""
    most_shift: float = 0.1
    """share of the image's sides that it is shifted at most; a stage's features by a quarter of that"""
    most_turn: float = 0.1
    """most that an element of the affine map's matrix differs from the identity's, about 6 degrees or a tenth of the
    size; for a stage's features a quarter of that"""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("alignment_steps", "steps"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} {getattr(self, name)} is negative. Give 0 to leave it out.")
        if self.batch_size < 2:
            raise ConfigError(f"batch_size {self.batch_size} has no pair of images to compare. Give 2 or more.")
        if not 0 < self.learning_rate <= 0.1:
            raise ConfigError(
                f"learning_rate {self.learning_rate} is not in (0, 0.1]: the backbone would not learn, or forget all "
                "that it knows. Give 0.0001."
            )
        if self.alignment_weight < 0:
            raise ConfigError(f"alignment_weight {self.alignment_weight} would drive images apart. Give 0 or more.")
        for name in ("most_shift", "most_turn"):
            if not 0 <= getattr(self, name) <= 0.25:
                raise ConfigError(
                    f"{name} {getattr(self, name)} is not in [0, 0.25]: an image moved further shows too little of "
                    'itself. Align it first: align = "shift" or "rigid".'
                )

    def looked_at(self, images: int) -> int:
        """See `DetectorSettings.looked_at`."""
        return images + (self.alignment_steps + self.steps) * self.batch_size

    @property
    def batch(self) -> int:
        """Images a step, within the pixels of a micro-batch, but two."""
        return max(2, min(self.batch_size, self.micro_batch))
