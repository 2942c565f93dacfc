"""Methods on a frozen teacher's features: they say how far each position is from normal, all else is shared."""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import torch
from torch import Tensor, nn

from rd_core.detectors.detector import Detection, Detector, FitProgress
from rd_core.detectors.settings import DetectorSettings
from rd_core.features.backbone import STRIDES, Pretrained, build_teacher
from rd_core.features.cache import CachedFeatures, FeatureSource, StreamedFeatures, feature_bytes, stream_features
from rd_core.features.standardisation import Standardisation
from rd_core.kernels.precision import networks_in
from rd_core.maps.assembly import MapAssembly
from rd_core.pictures.images import Images
from rd_core.pictures.preprocessing import Normalisation

S = TypeVar("S", bound=DetectorSettings)
Gathering = tuple[Any, Callable[[Any], None]]
"""something with `add(features)`, given all of the first images' raw features, and what it is handed to then"""


class Features(NamedTuple):
    """The teacher's maps of a micro-batch, float32 (B, C_k, H/s, W/s) at s = 4, 8, 16."""

    raw: tuple[Tensor, ...]
    standardised: tuple[Tensor, ...]
    """the same where the standardisation was not fitted"""


class FeatureDetector(Detector[S]):
    """Backbone, its features' standardisation and cache, the map's assembly, the distances that drift needs."""

    def __init__(self, settings: S, pretrained: Pretrained) -> None:
        super().__init__(settings)
        self.teacher = pretrained.teacher
        self.normalisation = Normalisation(self.teacher.spec.mean, self.teacher.spec.std)
        self.standardisation = Standardisation(self.teacher.channels)
        self.assembly = MapAssembly(
            *self.image_size, settings.smoothing_sigma, self.strides, align_corners=self.align_corners
        )

    @classmethod
    def build(cls, settings: S, *, teacher_weights: Path | None = None, pretrained: bool = True) -> Self:
        """See `Detector.build`. Raises UnknownTeacher or TeacherUnavailable."""
        return cls(settings, build_teacher(settings.teacher, weights=teacher_weights, pretrained=pretrained))

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels from one distance to the next, of each map that `distances` gives."""
        return STRIDES

    @property
    def align_corners(self) -> bool:
        """How the map is interpolated, see `rd_core.maps.assembly.interpolation_matrix`."""
        return False

    @abstractmethod
    def distances(self, features: Features) -> tuple[Tensor, ...]:
        """Distances from normal, float32 (B, H/stride, W/stride), rounded up, from 0: one map a stride."""

    def image_scores(self, maps: Tensor, features: Features, distances: tuple[Tensor, ...]) -> Tensor:
        """Scores (B,) from the scaled maps (B, H, W), the features, and what `distances` gave: the maps' maxima.

        A method that overrides it says so by `score_is_map_maximum`.
        """
        del features, distances
        return maps.amax(dim=(1, 2))

    @torch.inference_mode()
    def detect(self, images: Tensor) -> Detection:
        """See `Detector.detect`."""
        raw = self.teacher_features(images)
        features = Features(raw, self.standardisation(raw))
        distances = self.distances(features)
        maps = self.map_scale * self.assembly(distances)
        moved = [one.mean(dim=(2, 3)).square().mean(dim=1) for one in features.standardised]
        return Detection(maps, self.image_scores(maps, features, distances), torch.stack(moved).mean(dim=0).sqrt())

    def teacher_features(self, images: Tensor) -> tuple[Tensor, ...]:
        """uint8 (B, H, W, 3) -> the teacher's raw maps, float32 (B, C_k, H/s, W/s) at s = 4, 8, 16."""
        with networks_in(self.settings.precision, self.device):
            return as_floats(self.teacher(self.normalisation(images.to(self.device))))

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.settings.image_height, self.settings.image_width

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

    def gather(self, images: Images, report: Callable[[FitProgress], None], gatherings: Sequence[Gathering]) -> None:
        """One pass of the teacher over the images, nothing of which is kept but what is gathered on the way."""
        began = time.monotonic()
        for indices, features in stream_features(self, images):
            for one, _ in gatherings:
                one.add(features)
            report(FitProgress("features", indices.stop, len(images), seconds=time.monotonic() - began))
        for one, take in gatherings:
            take(one)

    def feature_sources(
        self,
        image_sets: Sequence[Images],
        report: Callable[[FitProgress], None],
        resources: ExitStack,
        gatherings: Sequence[Gathering] = (),
    ) -> list[FeatureSource]:
        """A source of raw features for each set: cached on disk if all fit into `feature_cache_bytes`, which takes
        one pass of the teacher now; else computed at every use.

        gatherings: filled from the first set on the way, such as `(Moments(), self.standardisation.fit)`.
        """
        began = time.monotonic()
        cached = feature_bytes(self, sum(map(len, image_sets))) <= self.settings.feature_cache_bytes
        total = sum(map(len, image_sets)) if cached else len(image_sets[0])
        sources: list[FeatureSource] = []
        before = 0
        for number, images in enumerate(image_sets):
            cache = resources.enter_context(CachedFeatures(self, len(images))) if cached and len(images) else None
            sources.append(cache if cache is not None else StreamedFeatures(self, images))
            gathered = gatherings if number == 0 else ()
            if cache is None and not gathered:
                continue
            for indices, features in stream_features(self, images):
                if cache is not None:
                    cache.put(indices.start, features)
                for one, _ in gathered:
                    one.add(features)
                done = before + indices.stop
                report(FitProgress("features", done, total, seconds=time.monotonic() - began))
            for one, take in gathered:
                take(one)
            before += len(images)
        return sources


def as_floats(maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(one.float() for one in maps)
