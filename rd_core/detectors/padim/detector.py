"""PaDiM as a detector."""

import time
from functools import partial

import torch
from torch import Tensor

from rd_core.detectors.cross_normals import CrossNormals, HeldOut, Judged, Learnt
from rd_core.detectors.detector import FitProgress, FitReport
from rd_core.detectors.feature_detector import Features
from rd_core.detectors.gaussian_settings import STRIDE
from rd_core.detectors.gaussians import PositionMoments, drawn_embeddings, mahalanobis
from rd_core.detectors.padim.leaving_out import GaussiansWithout
from rd_core.detectors.padim.settings import PaDiMSettings
from rd_core.detectors.refittable import RefittableDetector, Report
from rd_core.features.backbone import Pretrained
from rd_core.features.cache import FeatureSource
from rd_core.features.standardisation import Moments
from rd_core.pictures.counted_pixels import CountedPixels


class PaDiM(RefittableDetector[PaDiMSettings]):
    """A Gaussian of the normals' features at every position (Defard et al., ICPR 2021).

    Memory: H/4 W/4 d^2 float32 on disk and to score (164 MB at 256 x 256 and d = 100), three times that during the
    fit, which is one pass over the normals; five times where every normal is judged. Scoring: 2 H/4 W/4 d^2 FLOPs an
    image.
    """

    Settings = PaDiMSettings
    name = Settings.method
    map_values = "Mahalanobis distance of a position's features from the Gaussian of the normals' there"
    means: Tensor
    """(positions, d)"""
    whitening: Tensor
    """(positions, d, d), see `PositionMoments.gaussians`"""
    drawn: Tensor
    """(d,) channel numbers, counted over all stages"""

    def __init__(self, settings: PaDiMSettings, pretrained: Pretrained) -> None:
        super().__init__(settings, pretrained)
        positions, dimensions = settings.grid[0] * settings.grid[1], settings.dimensions
        self.register_buffer("drawn", torch.zeros(dimensions, dtype=torch.int64))
        self.register_buffer("means", torch.zeros(positions, dimensions))
        self.register_buffer("whitening", torch.zeros(positions, dimensions, dimensions))

    @property
    def strides(self) -> tuple[int, ...]:
        """See `FeatureDetector.strides`."""
        return (STRIDE,)

    def learn(self, source: FeatureSource, report: Report) -> Learnt:
        """See `RefittableDetector.learn`."""
        count, dimensions = len(source), self.settings.dimensions
        self.drawn.copy_(torch.randperm(sum(self.teacher.channels))[:dimensions].sort().values)
        gathered = _EmbeddingMoments(self)
        self.gather(source, report, [(Moments(), self.standardisation.fit), (gathered, lambda _: None)])
        began, positions = time.monotonic(), self.settings.grid[0] * self.settings.grid[1]
        self.means, self.whitening = gathered.moments.gaussians(
            self._ridge(),
            lambda done: report(FitProgress("memory", done, positions, seconds=time.monotonic() - began)),
        )
        few = ", fewer than the dimensions: the ridge decides" if count <= dimensions else ""
        fitted = FitReport(
            f"{positions:,} Gaussians of {dimensions} dimensions from {count:,} images{few}",
            {"images": count, "positions": positions, "gaussian_bytes": self.settings.needed_bytes},
        )
        # A downdate leaves no part out of a ridge of the channels' variances, nor of positions that only some show.
        exactly = gathered.moments.alike and not self.settings.standardise
        return Learnt(fitted, partial(self._leave_out, gathered.moments) if exactly else None)

    def _leave_out(self, moments: PositionMoments, normals: CrossNormals) -> HeldOut:
        """Judge every image by the Gaussians without its part; all parts of one size share a factorisation."""

        def judged() -> Judged:
            for left_out, parts in sorted(normals.by_size().items()):
                gaussians = GaussiansWithout(moments, self._ridge(), left_out) if left_out else None
                for numbers, places in normals.whole_parts(parts, self.settings.micro_batch):
                    features = normals.features(numbers)
                    if gaussians is None:
                        yield numbers, self.detection(features, self.distances(features))
                    else:
                        apart = gaussians.distances(self.embeddings(features.raw), places)
                        yield numbers, self.detection(features, (apart.reshape(-1, *self.settings.grid),))

        return HeldOut(None, judged())

    def distances(self, features: Features) -> tuple[Tensor, ...]:
        """See `FeatureDetector.distances`."""
        from_gaussians = mahalanobis(self.embeddings(features.raw), self.means, self.whitening)
        return (from_gaussians.reshape(-1, *self.settings.grid),)

    def embeddings(self, raw: tuple[Tensor, ...]) -> Tensor:
        """Drawn channels (B, P, d) at every position, from the teacher's maps (B, C_k, h_k, w_k)."""
        return drawn_embeddings(raw, self.settings.grid, self.drawn)

    def _ridge(self) -> Tensor:
        """(d,) for the diagonal: `ridge` times each channel's variance with `standardise`, otherwise `ridge`."""
        if not self.settings.standardise:
            return torch.full((self.settings.dimensions,), self.settings.ridge, device=self.device)
        deviations = torch.cat([self.standardisation.get_buffer(f"std_{stage}") for stage in range(3)])
        return self.settings.ridge * deviations[self.drawn].square()


class _EmbeddingMoments:
    def __init__(self, detector: PaDiM) -> None:
        self._detector = detector
        rows, columns = detector.settings.grid
        self.moments = PositionMoments(rows * columns, detector.settings.dimensions, detector.device)

    def add(self, features: tuple[Tensor, ...], counted: CountedPixels | None = None) -> None:
        seen = None if counted is None else counted.on_grid(STRIDE).flatten(1)
        self.moments.add(self._detector.embeddings(features), seen)
