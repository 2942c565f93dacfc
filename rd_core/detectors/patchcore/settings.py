"""Every setting of PatchCore, each with its default in this one place."""

from dataclasses import dataclass
from typing import ClassVar

from rd_core.detectors.settings import DetectorSettings
from rd_core.errors import ConfigError
from rd_core.settings import check_ranges

STRIDE = 8
"""pixels from one patch to the next"""


@dataclass(frozen=True)
class PatchCoreSettings(DetectorSettings):
    """Which of the normals' patches are kept, and how an image is scored by them."""

    method: ClassVar[str] = "patchcore"

    coreset_share: float = 0.1
    """of the normals' patches that is kept; the paper has 0.25, 0.1 and 0.01"""
    coreset_vectors: int = 10_000
    """are kept at most: time and memory of scoring grow with them"""
    candidates: int = 1_000_000
    """patches to choose from; of more, so many are drawn at random. They take 512 bytes of memory each, in the fit"""
    projection: int = 128
    """dimensions in which patches are compared while they are chosen; they are kept whole"""
    neighbours: int = 9
    """vectors of the memory by which the score is re-weighted (Eq. 7 of the paper); 1: not at all, as in the authors'
    code"""
    standardise: bool = False
    """whether channels are brought to variance 1, over all positions, before patches are compared; False: as in the
    paper"""

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

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches."""
        return self.image_height // STRIDE, self.image_width // STRIDE

    def vectors(self, patches: int) -> int:
        """To be kept of so many patches: at least as many as the score is re-weighted by."""
        wanted = max(round(self.coreset_share * patches), self.neighbours)
        return min(wanted, self.coreset_vectors, patches)
