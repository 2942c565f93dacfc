"""Settings of Uninformed Students and their defaults."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from rd_core.detectors.settings import DetectorSettings
from rd_core.detectors.uninformed_students.architecture import SCALES, extent, layers_of, multiplications
from rd_core.errors import ConfigError
from rd_core.settings import check_ranges

CROP = 32
"""most positions a side of the crops that students are trained on"""
BACKBONE_SIDE = 64
"""pixels a side of the patches that the backbone sees"""
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class UninformedStudentsSettings(DetectorSettings):
    """Sizes of networks and trainings."""

    method: ClassVar[str] = "uninformed_students"
    title: ClassVar[str] = "Uninformed Students"
    cross_fits: ClassVar[bool] = False

    scales: tuple[int, ...] = (33, 65)
    """sides, in pixels, of the patches that descriptors stand for, a teacher and its students each; 17, 33 and 65 in
    the paper. 17 costs nearly three times as much as the others together, since its networks pool nothing"""
    students: int = 3
    """of each teacher"""
    stride: Literal[1, 2, 4, 8] = 4
    """pixels between positions that are compared; 1 in the paper, at eight times the cost"""
    width: int = 16
    """channels of a network's first layer; 128 in the paper, at 37 times the cost"""
    descriptors: int = 128
    """dimensions of a descriptor"""
    general_images: str | None = None
    """folder of natural images that the teachers learn from, with those below it; None: they learn from the normals,
    strongly augmented"""
    teacher_steps: int = 200
    """of each teacher; 50,000 in the paper"""
    patches: int = 64
    """a step of a teacher"""
    student_steps: int = 400
    """of the students of a scale, which see the same images; 100 epochs in the paper"""
    crops: int = 2
    """a step of the students, of at most 32 x 32 positions; one whole image in the paper"""
    smoothing_sigma: float = 0.0
    """see `DetectorSettings`; 0 in the paper"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scales or len({*self.scales}) < len(self.scales) or not {*self.scales} <= {*SCALES}:
            raise ConfigError(
                f"scales {list(self.scales)} are not some of {', '.join(map(str, SCALES))}, each once, so there are "
                "no networks for them. Give [33, 65], or add 17 if its cost may be."
            )
        small = min(self.image_height, self.image_width)
        if small <= max(self.scales) // 2:
            raise ConfigError(
                f"scales {list(self.scales)} do not fit images of {small} pixels, whose borders are mirrored by half "
                f"a patch. Leave out {max(self.scales)}, or set a larger image_size."
            )
        ranges = [("students", 1, 100), ("width", 1, 1024), ("descriptors", 1, 4096), ("crops", 1, 1024)]
        ranges += [("teacher_steps", 1, 10**7), ("student_steps", 1, 10**7), ("patches", 2, 4096)]
        check_ranges(self, ranges, "where nothing would be learnt, or more than any machine can")

    @classmethod
    def of_paper(cls, teacher: str | None = None) -> dict[str, Any]:
        """See `DetectorSettings.of_paper`. The paper's teachers learn from ImageNet, which `general_images` would
        name, and its students for 100 epochs, here of 240 images."""
        sizes = {"scales": [17, 33, 65], "stride": 1, "width": 128}
        return {**super().of_paper(teacher or "resnet18"), **sizes, "teacher_steps": 50_000, "student_steps": 24_000}

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of positions."""
        return self.image_height // self.stride, self.image_width // self.stride

    @property
    def crop(self) -> tuple[int, int]:
        """(rows, columns) of positions of a crop that students are trained on."""
        return min(CROP, self.grid[0]), min(CROP, self.grid[1])

    def image_multiplications(self) -> int:
        """Multiplications of all networks over an image."""
        return sum((1 + self.students) * self._of_grid(scale, self.grid) for scale in self.scales)

    def fit_multiplications(self, train: int, early_stop: int) -> int:
        """Multiplications of a fit to so many images, without the backbone's; a step back costs two forward."""
        total = early_stop * self.image_multiplications()
        for scale in self.scales:
            layers = layers_of(scale, self.width, self.descriptors)
            of_patch = multiplications(layers, scale, scale, scale)
            total += self.teacher_steps * 2 * self.patches * 3 * of_patch
            total += self.student_steps * self.crops * (1 + 3 * self.students) * self._of_grid(scale, self.crop)
            total += train * self._of_grid(scale, self.grid)
        return total

    def cost_in_words(self, train: int, early_stop: int) -> str | None:
        """See `DetectorSettings.cost_in_words`."""
        seen = self.teacher_steps * self.patches * len(self.scales)
        return (
            f"{(1 + self.students) * len(self.scales)} networks; the fit takes "
            f"{self.fit_multiplications(train, early_stop) / 1e9:,.0f} GMAC and the backbone's passes over {seen:,} "
            f"patches of {BACKBONE_SIDE} x {BACKBONE_SIDE} pixels, scoring {self.image_multiplications() / 1e9:,.1f} "
            "GMAC an image"
        )

    def refuse_unavailable(self) -> None:
        """See `DetectorSettings.refuse_unavailable`."""
        if self.general_images is not None and len(self.general_files()) < 2:
            raise ConfigError(
                f"general_images = {self.general_images!r} holds fewer than two images "
                f"({', '.join(IMAGE_SUFFIXES)}) on this machine, so no teacher can learn from it. Correct the "
                "folder, or leave the setting out: teachers then learn from the normals."
            )

    def files(self) -> list[tuple[str, int]]:
        """See `DetectorSettings.files`."""
        return [(path.as_posix(), path.stat().st_size) for path in self.general_files()]

    def general_files(self) -> list[Path]:
        """The image files below `general_images`, by name; none if it is no folder."""
        below = Path(self.general_images or "").rglob("*") if self.general_images else ()
        return sorted(path for path in below if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())

    def _of_grid(self, scale: int, positions: tuple[int, int]) -> int:
        layers = layers_of(scale, self.width, self.descriptors)
        height, width = (extent(count, scale, self.stride) for count in positions)
        return multiplications(layers, height, width, self.stride)
