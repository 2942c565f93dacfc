"""Focus Your Distribution as a detector."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from rd_core.detectors.detector import Detection, Detector, FitProgress, FitReport, FitRun, Normals
from rd_core.detectors.feature_detector import feature_distances, zeroed_stages
from rd_core.detectors.fyd.aligned_backbone import Aligned, AlignedBackbone
from rd_core.detectors.fyd.settings import FYDSettings
from rd_core.detectors.fyd.training import FineTuning
from rd_core.detectors.fyd.transformers import inverted, warped
from rd_core.detectors.gaussian_settings import STRIDE
from rd_core.detectors.gaussians import PositionMoments, drawn_embeddings, mahalanobis
from rd_core.features.backbone import Pretrained, build_teacher
from rd_core.features.standardisation import Moments, Standardisation, require_counted_in
from rd_core.maps.assembly import MapAssembly
from rd_core.pictures.counted_pixels import CountedPixels, zeroed
from rd_core.pictures.images import Images, counted_in
from rd_core.pictures.preprocessing import Normalisation, resize
from rd_core.pictures.read_ahead import read_ahead


class FYD(Detector[FYDSettings]):
    """A Gaussian of aligned features at every position (Zheng et al., Focus Your Distribution, ICME 2022).

    A copy of the backbone, with a spatial transformer on the image and one after each stage, learns from pairs of
    normals, and is saved with the model. Then PaDiM's Gaussians are fitted to its features, and the map of distances
    is warped back to the image.

    Other than in the paper, of which there is no public code: the image's transformer first learns alone, from small
    copies, and stays the identity if it does not bring held-out normals closer to their mean; all three stages have
    SimSiam's heads, not the last alone; transforms are bounded and pulled to the identity; batch norms of the
    backbone are folded, so they stay as they were trained.

    What an alignment moves out of the frame, a strip of an edge, is judged by the nearest positions of the frame.

    Memory and model: PaDiM's, and the activations of a step. Measured on 125 images of 640 x 256: 107 processor
    seconds and 4.5 GB to train, 14 images a processor second to score. Deterministic on a CPU; a GPU adds up the
    gradients of the sampling in no fixed order.
    """

    Settings = FYDSettings
    name = Settings.method
    map_values = (
        "Mahalanobis distance of a position's features, aligned, from the Gaussian of the normals' there, warped back"
    )
    means: Tensor
    """(positions, d)"""
    whitening: Tensor
    """(positions, d, d), see `PositionMoments.gaussians`"""
    drawn: Tensor
    """(d,) channel numbers, counted over all stages"""

    def __init__(self, settings: FYDSettings, pretrained: Pretrained) -> None:
        super().__init__(settings)
        spec = pretrained.teacher.spec
        self.normalisation = Normalisation(spec.mean, spec.std)
        self.backbone = AlignedBackbone(settings, pretrained.teacher).requires_grad_(False)
        self.standardisation = Standardisation(pretrained.teacher.channels)
        self.assembly = MapAssembly(
            *self.image_size, settings.smoothing_sigma, (STRIDE,), map_stride=settings.map_stride
        )
        positions, dimensions = settings.grid[0] * settings.grid[1], settings.dimensions
        self.register_buffer("drawn", torch.zeros(dimensions, dtype=torch.int64))
        self.register_buffer("means", torch.zeros(positions, dimensions))
        self.register_buffer("whitening", torch.zeros(positions, dimensions, dimensions))

    @classmethod
    def build(cls, settings: FYDSettings, *, teacher_weights: Path | None = None, pretrained: bool = True) -> Self:
        """See `Detector.build`. Raises UnknownTeacher or TeacherUnavailable."""
        return cls(settings, build_teacher(settings.teacher, weights=teacher_weights, pretrained=pretrained))

    def networks(self) -> Iterable[nn.Module]:
        """See `Detector.networks`."""
        return (self.backbone.stages,)

    def fit(self, normals: Normals, run: FitRun) -> FitReport:
        """See `Detector.fit`. Raises TrainingCollapsed, and ConfigError if hardly any pixel counts."""
        settings = self.settings
        require_counted_in(normals.train)
        self.drawn.copy_(torch.randperm(sum(self.backbone.channels))[: settings.dimensions].sort().values)
        figures = FineTuning(settings, self.backbone, normals, self._batches, run.report).run()
        self._fit_gaussians(normals.train, run.report)
        self.fit_map_scale(normals.early_stop)
        moved = "" if figures.get("aligned", True) else ", no alignment of the images found"
        return FitReport(
            f"{settings.steps} steps, {len(self.means):,} Gaussians of {settings.dimensions} dimensions from "
            f"{len(normals.train):,} images{moved}",
            {"images": len(normals.train), "steps": settings.steps, **figures},
        )

    @torch.inference_mode()
    def _fit_gaussians(self, images: Images, report: Callable[[FitProgress], None]) -> None:
        """One pass over the images with the trained backbone."""
        began, done, features = time.monotonic(), 0, Moments()
        moments = PositionMoments(len(self.means), self.settings.dimensions, self.device)
        for some, counted in self._batches(images, self.settings.batch):
            aligned = self.backbone(some, counted)
            features.add(aligned.features, aligned.counted)
            seen = None if aligned.counted is None else aligned.counted.on_grid(STRIDE).flatten(1)
            moments.add(self._embeddings(aligned), seen)
            done += len(some)
            report(FitProgress("features", done, len(images), seconds=time.monotonic() - began))
        self.standardisation.fit(features)
        began, positions = time.monotonic(), len(self.means)
        ridge = torch.full((self.settings.dimensions,), self.settings.ridge, device=self.device)
        self.means, self.whitening = moments.gaussians(
            ridge, lambda done: report(FitProgress("memory", done, positions, seconds=time.monotonic() - began))
        )

    def _batches(self, images: Images, size: int) -> Iterator[tuple[Tensor, CountedPixels | None]]:
        """Normalised images float32 (B, 3, H, W) in their order, and what counts of them."""
        waiting, start, (height, width) = [], 0, self.image_size
        read = read_ahead(
            lambda at: resize(np.asarray(images[at]), height, width), range(len(images)), 3 * height * width
        )
        for number, image in enumerate(read, 1):
            waiting.append(image)
            if len(waiting) == size or number == len(images):
                counted = CountedPixels.of(counted_in(images, range(start, number)))
                batch = self.normalisation(torch.from_numpy(np.stack(waiting)).to(self.device))
                yield batch, None if counted is None else counted.to(self.device)
                waiting, start = [], number

    def _embeddings(self, aligned: Aligned) -> Tensor:
        return drawn_embeddings(aligned.features, self.settings.grid, self.drawn)

    @torch.inference_mode()
    def detect(self, images: Tensor, counted: Tensor | None = None) -> Detection:
        """See `Detector.detect`."""
        pixels = None if counted is None else CountedPixels(counted.to(self.device))
        aligned = self.backbone(self.normalisation(images.to(self.device)), pixels)
        distances = mahalanobis(self._embeddings(aligned), self.means, self.whitening)
        distances = zeroed(distances.reshape(-1, *self.settings.grid), aligned.counted, STRIDE)
        back = warped(distances[:, None], inverted(aligned.transform))[:, 0]
        maps = self.map_scale * self.assembly((zeroed(back, pixels, STRIDE),))
        maps = zeroed(maps, pixels, self.settings.map_stride)
        scores = maps.amax(dim=(1, 2))
        standardised = zeroed_stages(self.standardisation(aligned.features), aligned.counted)
        distances_of_features = feature_distances(standardised, aligned.counted)
        if pixels is not None:
            scores = scores.masked_fill(~pixels.pixels.flatten(1).any(dim=1), 0)
        return Detection(maps, scores, distances_of_features)
