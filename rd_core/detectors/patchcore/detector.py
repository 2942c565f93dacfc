"""PatchCore as a detector."""

import time
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from rd_core.detectors.cross_normals import Learnt
from rd_core.detectors.detector import FitProgress, FitReport
from rd_core.detectors.feature_detector import Features
from rd_core.detectors.patchcore.coreset import greedy_coreset, random_projection
from rd_core.detectors.patchcore.neighbours import nearest, reweighted
from rd_core.detectors.patchcore.settings import STRIDE, PatchCoreSettings
from rd_core.detectors.refittable import RefittableDetector, Report
from rd_core.features.backbone import Pretrained
from rd_core.features.cache import AT_ONCE, FeatureSource
from rd_core.features.standardisation import Moments


class PatchCore(RefittableDetector[PatchCoreSettings]):
    """Distance from the nearest patch of the normals (Roth et al., CVPR 2022).

    A coreset of M of N patches of D features (H/8 W/8 an image; D = C_2 + C_3) is kept: 4 M D bytes, 2 H/8 W/8 M D
    FLOPs an image. The fit takes at most 2 M N FLOPs for each dimension of the projection and 524 bytes for each
    candidate. Unlike in the paper, patches are not averaged down to 1,024 features.
    """

    Settings = PatchCoreSettings
    name = Settings.method
    map_values = "Euclidean distance of a patch's features from the nearest of those kept of the normals'"
    score_is_map_maximum = False
    sized_by_fit = ("memory",)
    several_passes = True
    memory: Tensor
    """(M, D), centred"""
    centre: Tensor
    """(D,) mean of the memory, subtracted to keep the distances' precision"""

    def __init__(self, settings: PatchCoreSettings, pretrained: Pretrained) -> None:
        super().__init__(settings, pretrained)
        width = sum(self.teacher.channels[1:])
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("memory", torch.zeros(0, width))

    @property
    def strides(self) -> tuple[int, ...]:
        """See `FeatureDetector.strides`."""
        return (STRIDE,)

    def learn(self, source: FeatureSource, report: Report) -> Learnt:
        """See `RefittableDetector.learn`."""
        self.gather(source, report, [(Moments(), self.standardisation.fit)])
        counted = self._counted_patches(source)
        patches = len(counted)
        candidates = counted[torch.randperm(patches)[: self.settings.candidates].sort().values]
        points = self._projected(source, candidates, report)
        chosen = candidates[self._chosen(points, patches, report).cpu()].sort().values
        memory = torch.cat([some for _, some in self._patches(source, chosen)])
        self.centre.copy_(memory.mean(dim=0))
        self.memory = memory - self.centre
        fitted = FitReport(
            f"{len(memory):,} of {patches:,} patches from {len(source):,} images",
            {"images": len(source), "patches": patches, "candidates": len(points), "vectors": len(memory)},
        )
        return Learnt(fitted)  # what a coreset keeps depends on all images, so folds leave parts out

    def distances(self, features: Features) -> tuple[Tensor, ...]:
        """See `FeatureDetector.distances`."""
        patches = self._centred(features)
        return (nearest(patches.flatten(0, 1), self.memory).reshape(-1, *self.settings.grid),)

    def image_scores(self, maps: Tensor, features: Features, distances: tuple[Tensor, ...]) -> Tensor:
        """See `FeatureDetector.image_scores`: re-weighted, of the patch farthest from the memory."""
        del maps
        (of_patches,) = distances
        if features.counted is not None:  # an ignored patch is not the farthest even where all distances are 0
            of_patches = of_patches.masked_fill(~features.counted.on_grid(STRIDE), -1)
        farthest = of_patches.flatten(1).argmax(dim=1)
        patches = self._centred(features)
        queries = patches.gather(1, farthest[:, None, None].expand(-1, 1, patches.shape[2]))[:, 0]
        return reweighted(queries, self.memory, self.settings.neighbours)

    def patches(self, features: Features) -> Tensor:
        """Stages 2 and 3, averaged over 3 x 3 positions (zero padding), the third upsampled to the second's grid: (B,
        P, D)."""
        stages = (features.standardised if self.settings.standardise else features.raw)[1:]
        around = [F.avg_pool2d(stage, 3, stride=1, padding=1) for stage in stages]
        fine = [F.interpolate(stage, size=self.settings.grid, mode="bilinear") for stage in around]
        return torch.cat(fine, dim=1).flatten(2).transpose(1, 2)

    def _centred(self, features: Features) -> Tensor:
        return self.patches(features) - self.centre

    def _counted_patches(self, source: FeatureSource) -> Tensor:
        """Numbers of the patches that count, ascending int64: row by row, image by image."""
        an_image, numbers = self.settings.grid[0] * self.settings.grid[1], []
        for image in range(len(source)):
            counted = source.counted([image])
            whole = torch.arange(image * an_image, (image + 1) * an_image)
            numbers.append(whole if counted is None else whole[counted.on_grid(STRIDE).flatten()])
        return torch.cat(numbers)

    def _patches(self, source: FeatureSource, numbers: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(images done, patches (n, D)) with these ascending numbers, a few images at a time."""
        an_image = self.settings.grid[0] * self.settings.grid[1]
        for start in range(0, len(source), AT_ONCE):
            images = range(start, min(start + AT_ONCE, len(source)))
            first, last = torch.searchsorted(numbers, torch.tensor([images.start, images.stop]) * an_image).tolist()
            if first < last:
                patches = self.patches(self.features(source.batch(images), source.counted(images))).flatten(0, 1)
                yield images.stop, patches[(numbers[first:last] - images.start * an_image).to(self.device)]

    def _projected(self, source: FeatureSource, numbers: Tensor, report: Report) -> Tensor:
        """Projections (N, projection) of these patches, centred."""
        began, width = time.monotonic(), self.settings.projection
        projection = random_projection(len(self.centre), width, self.settings.seed).to(self.device)
        points = torch.empty(len(numbers), width, device=self.device)
        filled = 0
        for done, some in self._patches(source, numbers):
            points[filled : filled + len(some)] = some @ projection
            filled += len(some)
            report(FitProgress("features", done, len(source), seconds=time.monotonic() - began))
        return points.sub_(points.mean(dim=0))

    def _chosen(self, points: Tensor, patches: int, report: Report) -> Tensor:
        """Indices of the coreset's points."""
        began, wanted = time.monotonic(), self.settings.vectors(patches)

        def tell(done: int, total: int = wanted) -> None:
            report(FitProgress("memory", done, total, seconds=time.monotonic() - began))

        chosen = greedy_coreset(points, wanted, int(torch.randint(len(points), ())), tell)
        tell(len(chosen), len(chosen))
        return chosen
