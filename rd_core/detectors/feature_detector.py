"""Base of methods on a frozen teacher's features. A method adds distances; the rest is shared."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import torch
from torch import Tensor, nn

from rd_core.detectors.detector import Detection, Detector
from rd_core.detectors.settings import DetectorSettings
from rd_core.features.backbone import STRIDES, Pretrained, build_teacher
from rd_core.features.cache import pass_digest
from rd_core.features.standardisation import Standardisation
from rd_core.kernels.precision import networks_in
from rd_core.maps.assembly import MapAssembly
from rd_core.pictures.counted_pixels import CountedPixels, image_means, zeroed
from rd_core.pictures.preprocessing import Normalisation

S = TypeVar("S", bound=DetectorSettings)


class Features(NamedTuple):
    """The teacher's maps of a micro-batch, float32 (B, C_k, H/s, W/s) at s = 4, 8, 16; zero at ignored positions."""

    raw: tuple[Tensor, ...]
    standardised: tuple[Tensor, ...]
    """equal to `raw` where the standardisation was not fitted"""
    counted: CountedPixels | None = None
    """None: all pixels count"""


class FeatureDetector(Detector[S]):
    """Backbone, standardisation of its features, assembly of the map, feature distances for drift."""

    def __init__(self, settings: S, pretrained: Pretrained) -> None:
        super().__init__(settings)
        self.teacher = pretrained.teacher
        self.normalisation = Normalisation(self.teacher.spec.mean, self.teacher.spec.std)
        self.standardisation = Standardisation(self.teacher.channels)
        self.assembly = MapAssembly(
            *self.image_size,
            settings.smoothing_sigma,
            self.strides,
            align_corners=self.align_corners,
            map_stride=settings.map_stride,
        )

    @classmethod
    def build(cls, settings: S, *, teacher_weights: Path | None = None, pretrained: bool = True) -> Self:
        """See `Detector.build`. Raises UnknownTeacher or TeacherUnavailable."""
        return cls(settings, build_teacher(settings.teacher, weights=teacher_weights, pretrained=pretrained))

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels between distances, of each map of `distances`."""
        return STRIDES

    @property
    def align_corners(self) -> bool:
        """Interpolation of the map, see `rd_core.maps.assembly.interpolation_matrix`."""
        return False

    @abstractmethod
    def distances(self, features: Features) -> tuple[Tensor, ...]:
        """Distances from normal, float32 >= 0, (B, ceil(H / stride), ceil(W / stride)), a map for each stride. Those
        of ignored positions are not used."""

    def image_scores(self, maps: Tensor, features: Features, distances: tuple[Tensor, ...]) -> Tensor:
        """Scores (B,) from the scaled maps (B, H / s, W / s), the features and the `distances`, both zero where
        ignored: the maps' maxima.

        A method that overrides it also overrides `score_is_map_maximum`.
        """
        del features, distances
        return maps.amax(dim=(1, 2))

    @torch.inference_mode()
    def detect(self, images: Tensor, counted: Tensor | None = None) -> Detection:
        """See `Detector.detect`."""
        pixels = None if counted is None else CountedPixels(counted.to(self.device))
        return self.detect_in_features(self.teacher_features(images, pixels), pixels)

    @torch.inference_mode()
    def detect_in_features(self, raw: tuple[Tensor, ...], counted: CountedPixels | None = None) -> Detection:
        """`detect` from the teacher's raw maps, as `teacher_features` returns them."""
        features = self.features(raw, counted)
        return self.detection(features, self.distances(features))

    def features(self, raw: tuple[Tensor, ...], counted: CountedPixels | None = None) -> Features:
        """Standardise the teacher's raw maps, as `teacher_features` returns them."""
        raw = tuple(stage.to(self.device) for stage in raw)
        counted = None if counted is None else counted.to(self.device)
        return Features(raw, zeroed_stages(self.standardisation(raw), counted), counted)

    def detection(self, features: Features, distances: tuple[Tensor, ...], scores: Tensor | None = None) -> Detection:
        """Detect by distances as those of `distances`. scores: (B,), instead of `image_scores`."""
        distances = self.counted_distances(distances, features.counted)
        maps = zeroed(self.map_scale * self.assembly(distances), features.counted, self.settings.map_stride)
        scores = self.image_scores(maps, features, distances) if scores is None else scores
        if features.counted is not None:
            scores = scores.masked_fill(~features.counted.pixels.flatten(1).any(dim=1), 0)
        return Detection(maps, scores, feature_distances(features.standardised, features.counted))

    def counted_distances(self, distances: tuple[Tensor, ...], counted: CountedPixels | None) -> tuple[Tensor, ...]:
        """Distances as those of `distances`, zero at ignored positions: smoothing spreads nothing from there."""
        return tuple(zeroed(apart, counted, stride) for apart, stride in zip(distances, self.strides, strict=True))

    def teacher_features(self, images: Tensor, counted: CountedPixels | None = None) -> tuple[Tensor, ...]:
        """The teacher's raw maps, float32 (B, C_k, H/s, W/s) at s = 4, 8, 16, of images uint8 (B, H, W, 3); zero at
        ignored positions."""
        with networks_in(self.settings.precision, self.device):
            raw = as_floats(self.teacher(self.normalisation(images.to(self.device))))
        return zeroed_stages(raw, None if counted is None else counted.to(self.device))

    def pass_digest(self) -> str:
        """See `rd_core.features.cache.FeatureMaker.pass_digest`."""
        return pass_digest((self.teacher,), self, self.settings.precision, self.device)

    @property
    def feature_shapes(self) -> list[tuple[int, int, int]]:
        """(C_k, h_k, w_k) of the teacher's maps."""
        height, width = self.image_size
        return [
            (channels, height // s, width // s) for channels, s in zip(self.teacher.channels, STRIDES, strict=True)
        ]

    def networks(self) -> Iterable[nn.Module]:
        """See `Detector.networks`."""
        return (self.teacher,)


def feature_distances(
    standardised: tuple[Tensor, ...], counted: CountedPixels | None, strides: Sequence[int] = STRIDES
) -> Tensor:
    """Distances float32 (B,) of images' mean features from the normals', of standardised maps (B, C_k, H/s, W/s) at
    these strides s, zero at ignored positions."""
    moved = [
        image_means(stage, counted, stride).square().mean(dim=1)
        for stage, stride in zip(standardised, strides, strict=True)
    ]
    return torch.stack(moved).mean(dim=0).sqrt()


def zeroed_stages(stages: tuple[Tensor, ...], counted: CountedPixels | None) -> tuple[Tensor, ...]:
    """The teacher's maps, zero at ignored positions."""
    return tuple(zeroed(stage, counted, stride) for stage, stride in zip(stages, STRIDES, strict=True))


def as_floats(maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(stage.float() for stage in maps)
