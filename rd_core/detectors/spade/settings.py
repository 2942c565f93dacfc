"""Settings of SPADE and their defaults."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from rd_core.detectors.settings import DetectorSettings
from rd_core.errors import ConfigError
from rd_core.features.backbone_spec import teacher_spec
from rd_core.settings import check_ranges


@dataclass(frozen=True)
class SpadeSettings(DetectorSettings):
    """Size of the gallery and of the comparison; the defaults are the paper's."""

    method: ClassVar[str] = "spade"
    title: ClassVar[str] = "SPADE"
    remembers: ClassVar[bool] = True

    nearest: int = 50
    """normals that an image is compared with, nearest by their averaged features"""
    counterparts: int = 1
    """nearest gallery positions whose distances are averaged, for each position; the paper's kappa"""
    gallery_stride: Literal[4, 8, 16] = 4
    """pixels between positions of the gallery: 8 takes a quarter of the work of 4, 16 a sixteenth"""
    gallery_bytes: int = 1024**3
    """limit of the normals' features in float16 in the weights; of more normals a sample is drawn"""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, (("nearest", 1, 10_000), ("counterparts", 1, 1_000)), "where nothing would be compared")
        if self.gallery_bytes < self.bytes_a_normal:
            raise ConfigError(
                f"gallery_bytes {self.gallery_bytes} hold no normal image of {self.bytes_a_normal} bytes, so the "
                "gallery would be empty. Give more, or take smaller images."
            )

    @property
    def bytes_a_normal(self) -> int:
        """Bytes of the three stages' features in float16."""
        pixels = self.image_height * self.image_width
        strides = (4, 8, 16)
        return sum(2 * c * pixels // s**2 for c, s in zip(teacher_spec(self.teacher).channels, strides, strict=True))

    def of_weights(self) -> Self:
        """See `DetectorSettings.of_weights`."""
        return replace(super().of_weights(), gallery_bytes=SpadeSettings.gallery_bytes)
