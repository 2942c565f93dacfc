"""Networks and anomaly map of Reverse Distillation."""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rd_core.detectors.feature_detector import FeatureDetector, Features, as_floats
from rd_core.detectors.reverse_distillation.blend import Blend
from rd_core.detectors.reverse_distillation.bottleneck import OneClassBottleneck, PretrainedBottleneck
from rd_core.detectors.reverse_distillation.cell_discriminator import CellDiscriminator
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.reverse_distillation.student import Student
from rd_core.features.backbone import STRIDES, Pretrained
from rd_core.kernels.precision import networks_in


class TeacherAndStudent(FeatureDetector[ReverseDistillationSettings]):
    """Scoring of Reverse Distillation; `rd_core.detectors.reverse_distillation.detector` adds the fit."""

    Settings = ReverseDistillationSettings
    name = Settings.method

    def __init__(self, settings: ReverseDistillationSettings, pretrained: Pretrained) -> None:
        super().__init__(settings, pretrained)
        channels = self.teacher.channels
        self.bottleneck = _bottleneck(settings, pretrained)
        self.student = Student(self.teacher.spec, signed=settings.standardise)
        self.blend = Blend(len(settings.map_stages))
        discriminators = nn.ModuleList(
            CellDiscriminator(channels, side, settings.whitening_ridge, settings.precision)
            for side in settings.discriminator_cells
        )
        self.discriminators = cast(
            Sequence[CellDiscriminator], discriminators
        )  # a ModuleList tells no type of its items
        self.to(memory_format=torch.channels_last)

    @property
    def strides(self) -> tuple[int, ...]:
        """See `FeatureDetector.strides`: of the map's stages, then of the discriminators."""
        return (*(STRIDES[stage - 1] for stage in self.settings.map_stages), *self.settings.discriminator_cells)

    @property
    def align_corners(self) -> bool:
        """See `FeatureDetector.align_corners`."""
        return self.settings.align_corners

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The student's features from standardised teacher features, in the same shapes."""
        with networks_in(self.settings.precision, self.device):
            return as_floats(self.student(self.bottleneck(features)))

    def map_features(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Select the stages that make the map."""
        return tuple(features[stage - 1] for stage in self.settings.map_stages)

    def distances(self, features: Features) -> tuple[Tensor, ...]:
        """See `FeatureDetector.distances`: of the map's stages, then of the discriminators' cells."""
        targets = features.standardised
        fine = self.blend(self.map_features(targets), self.map_features(self(targets)))
        return (*fine, *(discriminator(features.raw, features.counted) for discriminator in self.discriminators))

    def image_scores(self, maps: Tensor, features: Features, distances: tuple[Tensor, ...]) -> Tensor:
        """See `FeatureDetector.image_scores`."""
        return (
            maps.sum(dim=(1, 2)) if self.settings.score == "sum" else super().image_scores(maps, features, distances)
        )

    @property
    def score_is_map_maximum(self) -> bool:
        """See `Detector.score_is_map_maximum`."""
        return self.settings.score == "max"

    @property
    def map_values(self) -> str:
        """See `Detector.map_values`."""
        kinds = ["1 - cosine between the teacher's and the student's features"]
        kinds += ["their mean squared difference"] if self.settings.magnitude else []
        kinds += ["log odds that cells are no normal ones"] if self.discriminators else []
        weighed = ", each weighed so that normal images peak near 1" if len(kinds) > 1 else ""
        sigma = f"{self.settings.smoothing_sigma:g}"
        return f"sum over stages of {', '.join(kinds)}{weighed}; smoothed by a Gaussian of {sigma} pixels"

    def networks(self) -> Iterable[nn.Module]:
        """See `Detector.networks`."""
        of_cells = [discriminator.layers[:-1] for discriminator in self.discriminators]
        return (self.teacher, self.bottleneck, self.student, *of_cells)


def _bottleneck(
    settings: ReverseDistillationSettings, pretrained: Pretrained
) -> OneClassBottleneck | PretrainedBottleneck:
    if settings.bottleneck == "pretrained":
        return PretrainedBottleneck(pretrained.fourth)
    return OneClassBottleneck(pretrained.teacher.spec, "none" if settings.bottleneck == "oce" else settings.fusion)
