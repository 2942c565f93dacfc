"""Settings of PatchCore and their defaults."""

from dataclasses import dataclass
from typing import Any, ClassVar

from rd_core.detectors.settings import DetectorSettings
from rd_core.errors import ConfigError
from rd_core.settings import check_ranges

STRIDE = 8
"""pixels between patches"""


@dataclass(frozen=True)
class PatchCoreSettings(DetectorSettings):
    """Size of the memory, and how it scores an image."""

    method: ClassVar[str] = "patchcore"
    title: ClassVar[str] = "PatchCore"
    remembers: ClassVar[bool] = True

    coreset_share: float = 0.1
    """share of the normals' patches that is kept; 0.25, 0.1 and 0.01 in the paper"""
    coreset_vectors: int = 10_000
    """most patches kept: time and memory of scoring grow with them"""
    candidates: int = 1_000_000
    """most patches to choose from, drawn at random from more; 512 bytes of memory each during the fit"""
    projection: int = 128
    """dimensions in which patches are compared during selection; they are kept whole"""
    neighbours: int = 9
    """vectors of the memory that re-weight the score (Eq. 7 of the paper); 1: none, as in the authors' code"""
    standardise: bool = False
    """whether channels have variance 1, over all positions, before patches are compared; False in the paper"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.coreset_share <= 1:
            raise ConfigError(
                f"coreset_share {self.coreset_share} would keep nothing, or more than all. Give one in (0, 1]."
            )
        ranges = [
            ("coreset_vectors", 1, 2**20),
            ("candidates", 1, 2**24),
            ("projection", 1, 4096),
            ("neighbours", 1, 1000),
        ]
        check_ranges(self, ranges, "where there would be nothing to compare with, or more than any machine can")

    @classmethod
    def of_paper(cls, teacher: str | None = None) -> dict[str, Any]:
        """See `DetectorSettings.of_paper`: all of the share is kept."""
        return {**super().of_paper(teacher), "coreset_vectors": 2**20}

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches."""
        return self.image_height // STRIDE, self.image_width // STRIDE

    def vectors(self, patches: int) -> int:
        """Patches to keep of so many: at least the `neighbours`."""
        wanted = max(round(self.coreset_share * patches), self.neighbours)
        return min(wanted, self.coreset_vectors, patches)
