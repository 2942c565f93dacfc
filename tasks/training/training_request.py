"""The input of a training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from rd_core.detectors.settings import DetectorSettings
from rd_core.engines.choice import TORCH
from rd_core.features.shared_pass import SharedPass
from rd_core.pictures.alignment import AlignmentKind
from rd_core.pictures.fitting_size import FittingSize, fitting_size, own_size
from rd_core.pictures.image_view import ImageView
from storage.filesystem import Store
from storage.models.card import MethodChoice
from tasks.training.choose_size import in_a_line, sizes_seen
from tasks.worker.preprocessing import ImageFormat


@dataclass(frozen=True)
class TrainingRequest:
    """The input of a training, from the settings."""

    category: str
    settings: DetectorSettings
    """settings of the method"""
    view: ImageView
    """without alignment, which is fitted to the training normals"""
    teacher_weights: Path | None
    alpha: float
    part_pattern: str | None
    white_level: float | None
    max_pixels: int
    black_level: float | None = None
    size_is_auto: bool = False
    """whether the settings' image size is to be chosen, by the normals or as the champion's"""
    size_choice: str | None = None
    """which was chosen and why, a line for people"""
    engine: str = TORCH
    """engine for the card; "auto": the fastest measured"""
    calibration: str = "auto"
    """"split", "cross" or "auto"; see flows.category_settings"""
    extrapolate: bool = True
    """False: no threshold that rests on a fitted tail"""
    unlabelled: tuple[date, ...] = ()
    """production days whose images are taken for normals; empty: labelled normals"""
    review_url: str | None = None
    """address of the review page, for links"""
    align: AlignmentKind | None = None
    """None: images are not aligned"""

    method_choice: MethodChoice | None = None
    """what chose the method; None: the settings or a command said it"""
    shared: SharedPass | None = None
    """of other trainings on the same teacher and images; changes no result"""
    named: str | None = None
    """what its progress bar is called; None: the category"""

    @property
    def bar(self) -> str:
        """Name of its progress bar."""
        return self.named or self.category

    @property
    def image_format(self) -> ImageFormat:
        return ImageFormat(self.view, self.white_level, self.max_pixels, self.black_level)

    def fitted(self, images: Store, keys: Sequence[str]) -> "TrainingRequest":
        """The same with the size that fits these images; without a readable one as it is."""
        sizes, tile = sizes_seen(images, keys, self.view), self.view.tile
        return self.sized(own_size(sizes, tile) if tile else fitting_size(sizes)) if sizes else self

    def sized(self, size: FittingSize) -> "TrainingRequest":
        """The same with this image size."""
        settings = self.settings
        if self.view.tile is None:
            settings = replace(settings, image_height=size.height, image_width=size.width)
        view = replace(self.view, height=size.height, width=size.width)
        line = in_a_line(size, tiled=self.view.tile is not None)
        return replace(self, settings=settings, view=view, size_choice=line)
