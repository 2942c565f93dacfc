"""SPADE as a detector (Cohen and Hoshen, 2020).

Nothing is trained: the teacher's maps and the mean of its fourth stage are kept of every normal. An image's score is
the mean distance of its own mean from those of the `nearest` normals. Their maps, upsampled to the first stage's grid
and concatenated, form a gallery of the positions that count; the map is each position's distance from the nearest of
the gallery. Distances are Euclidean; the paper squares them.

Cost: 2 C P G FLOPs an image for P positions of C channels and G in the gallery, 295 GFLOP at 256 x 256 (P 4096, C
176, G 50 P). Weights: 0.34 MB a normal at 256 x 256, at most `gallery_bytes`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rd_core.detectors.cross_normals import CrossNormals, HeldOut, Judged, Learnt
from rd_core.detectors.detector import FitReport
from rd_core.detectors.feature_detector import Features
from rd_core.detectors.refittable import RefittableDetector, Report, in_batches
from rd_core.detectors.settings import COARSEST_STRIDE
from rd_core.detectors.spade.settings import SpadeSettings
from rd_core.errors import ConfigError
from rd_core.features.backbone import STRIDES, Pretrained
from rd_core.features.cache import FeatureSource
from rd_core.features.standardisation import Moments
from rd_core.kernels.precision import networks_in
from rd_core.maps.micro_batch import FLOAT16_MAX
from rd_core.pictures.counted_pixels import CountedPixels

_BLOCK = 2**22
"""most distances in memory at once"""


class Spade(RefittableDetector[SpadeSettings]):
    """Sub-image anomaly detection with deep pyramid correspondences."""

    name: ClassVar[str] = SpadeSettings.method
    Settings = SpadeSettings
    exportable: ClassVar[bool] = False  # which gallery an image is compared with is known while it is scored
    sized_by_fit: ClassVar[tuple[str, ...]] = ("averages", "gallery_0", "gallery_1", "gallery_2", "gallery_counted")
    averages: Tensor
    gallery_counted: Tensor
    """(normals, positions) bool; without rows: all count"""

    def __init__(self, settings: SpadeSettings, pretrained: Pretrained) -> None:
        super().__init__(settings, pretrained)
        self.fourth = pretrained.fourth
        self.register_buffer("averages", torch.zeros(0, self.teacher.spec.embedding_channels))
        for stage, (channels, height, width) in enumerate(self.feature_shapes):
            self.register_buffer(f"gallery_{stage}", torch.zeros(0, height * width, channels, dtype=torch.float16))
        positions = int(np.prod(self.feature_shapes[0][1:]))
        self.register_buffer("gallery_counted", torch.zeros(0, positions, dtype=torch.bool))

    @property
    def strides(self) -> tuple[int, ...]:
        return STRIDES[:1]

    @property
    def map_values(self) -> str:
        return (
            f"distance of each position's features from the {self.settings.counterparts} nearest in a gallery of the "
            f"{self.settings.nearest} normals that the image is nearest to, smoothed"
        )

    @property
    def score_is_map_maximum(self) -> bool:
        return False

    def networks(self) -> Iterable[nn.Module]:
        return self.teacher, self.fourth

    def learn(self, source: FeatureSource, report: Report) -> Learnt:
        """See `RefittableDetector.learn`: one pass."""
        drawn = self._drawn(len(source))
        rows = _GalleryRows(drawn, self._averaged)
        self.gather(source, report, [(Moments(), self.standardisation.fit), (rows, self._take)])
        of = f" of {len(source)}, for gallery_bytes holds no more" if len(drawn) < len(source) else ""
        return Learnt(
            FitReport(f"{len(drawn)} normals{of}", {"normals": len(drawn), "of": len(source)}), self._leave_out
        )

    def _drawn(self, count: int) -> NDArray[np.int64]:
        """The images that `gallery_bytes` holds, ascending."""
        room = self.settings.gallery_bytes // self.settings.bytes_a_normal
        return np.sort(np.random.default_rng(self.settings.seed).permutation(count)[:room])

    def _leave_out(self, normals: CrossNormals) -> HeldOut:
        """Judge every image by the gallery's normals of other parts."""
        parts = np.asarray(normals.judged_parts)
        of_rows = np.asarray(normals.parts)[np.asarray(normals.kept)[self._drawn(len(normals.kept))]]
        if len(set(of_rows)) == 1:
            raise ConfigError(
                f"gallery_bytes {self.settings.gallery_bytes} hold {len(of_rows)} normals, all of one part, so "
                "nothing would be left to judge that part by. Give more, or calibrate by a split."
            )

        def judged() -> Judged:
            for numbers in in_batches(range(len(parts)), self.settings.micro_batch):
                features = normals.features(numbers)
                own = torch.from_numpy(parts[np.asarray(numbers)][:, None] == of_rows).to(self.device)
                nearest = self._nearest(features, own)
                yield numbers, self.detection(features, self._distances(features, nearest), nearest.scores())

        return HeldOut(None, judged())

    def _take(self, kept: "_GalleryRows") -> None:
        for name, rows in zip(self.sized_by_fit, kept.rows, strict=True):
            setattr(self, name, torch.cat(rows).to(self.device))
        if self.gallery_counted.all():
            self.gallery_counted = self.gallery_counted[:0]

    def distances(self, features: Features) -> tuple[Tensor, ...]:
        """See `FeatureDetector.distances`: at stride 4."""
        return self._distances(features, self._nearest(features))

    def _distances(self, features: Features, nearest: "_Nearest") -> tuple[Tensor, ...]:
        """Distances from the galleries of these normals."""
        joined, of_images = self._joined(features.raw), nearest.normals()
        by_image: list[Tensor] = []
        for place, normals in enumerate(of_images):
            if place and normals == of_images[place - 1] and torch.equal(joined[place], joined[place - 1]):
                by_image.append(by_image[-1])  # one and the same image fills up a micro-batch
            else:
                by_image.append(
                    mean_nearest(_positions(joined[place]), self._gallery(normals), self.settings.counterparts)
                )
        return (torch.stack(by_image).reshape(-1, *joined.shape[2:]),)

    def image_scores(self, maps: Tensor, features: Features, distances: tuple[Tensor, ...]) -> Tensor:
        """Mean distance (B,) of the averages from those of the nearest normals."""
        del maps, distances
        return self._nearest(features).scores()

    def _nearest(self, features: Features, hidden: Tensor | None = None) -> "_Nearest":
        """The nearest normals of each image. hidden: bool (B, normals), those not to be compared with."""
        averaged = self._averaged(features.raw, features.counted)
        apart = torch.cdist(averaged, self.averages, compute_mode="donot_use_mm_for_euclid_dist")
        if hidden is not None:
            apart = apart.masked_fill(hidden, torch.inf)
        return _Nearest(*apart.topk(min(self.settings.nearest, len(self.averages)), largest=False))

    def _averaged(self, raw: tuple[Tensor, ...], counted: CountedPixels | None = None) -> Tensor:
        """Mean of the fourth stage's features over positions, (B, E), weighted by their shares of counted pixels:
        positions are large, and a narrow counted region has a mean too."""
        with networks_in(self.settings.precision, self.device):
            fourth = self.fourth(raw[2]).float()
        if counted is None:
            return fourth.mean(dim=(2, 3))
        shares = counted.shares(COARSEST_STRIDE)
        weighted = fourth.mul_(shares[:, None]).mean(dim=(2, 3))
        return weighted / shares.mean(dim=(1, 2)).clamp_min(torch.finfo(torch.float32).tiny)[:, None]

    def _joined(self, raw: Sequence[Tensor]) -> Tensor:
        """Concatenate maps (B, C_k, h_k, w_k) to (B, C, h_1, w_1), less the normals' mean to reduce rounding."""
        size = raw[0].shape[2:]
        centred = [stage - self.standardisation.get_buffer(f"mean_{k}")[:, None, None] for k, stage in enumerate(raw)]
        return torch.cat(
            [F.interpolate(stage, size, mode="bilinear", align_corners=False) for stage in centred], dim=1
        )

    def _gallery(self, normals: Sequence[int]) -> Iterator[Tensor]:
        """Positions (G, C) of each of these normals."""
        step = self.settings.gallery_stride // STRIDES[0]
        for index in normals:
            maps = [
                self.get_buffer(f"gallery_{k}")[index].float().T.reshape(1, *shape)
                for k, shape in enumerate(self.feature_shapes)
            ]
            positions = _positions(self._joined(maps)[0, :, ::step, ::step])
            if len(self.gallery_counted):
                counted = self.gallery_counted[index].reshape(self.feature_shapes[0][1:])[::step, ::step]
                positions = positions[counted.flatten()]
            yield positions


class _Nearest(NamedTuple):
    """The K nearest normals of each image, fewer where some are hidden."""

    apart: Tensor
    """(B, K) distances; infinite for hidden ones"""
    indices: Tensor
    """(B, K)"""

    def scores(self) -> Tensor:
        """Mean distances (B,)."""
        return self.apart.masked_fill(self.apart.isinf(), torch.nan).nanmean(dim=1)

    def normals(self) -> list[list[int]]:
        """Their indices, by image."""
        seen = self.apart.isfinite()
        return [indices[there].tolist() for indices, there in zip(self.indices, seen, strict=True)]


def mean_nearest(positions: Tensor, gallery: Iterable[Tensor], count: int) -> Tensor:
    """Mean distance (P,) of each position (P, C) from its `count` nearest in a gallery given in parts (G, C). Exact,
    in blocks."""
    squares = positions.square().sum(dim=1, keepdim=True)
    nearest = positions.new_zeros(len(positions), 0)
    for block in (some for part in gallery for some in part.split(max(1, _BLOCK // len(positions))) if len(some)):
        apart = torch.addmm(block.square().sum(dim=1), positions, block.T, alpha=-2)
        together = torch.cat([nearest, apart.amin(dim=1, keepdim=True) if count == 1 else apart], dim=1)
        nearest = together.topk(min(count, together.shape[1]), largest=False).values
    return (nearest + squares).clamp_min(0).sqrt().mean(dim=1)


def _positions(maps: Tensor) -> Tensor:
    """(C, h, w) -> (h w, C)"""
    return maps.flatten(1).T


class _GalleryRows:
    """Accumulates what the buffers of `sized_by_fit` keep of the images with the numbers `drawn`, in order."""

    def __init__(self, drawn: NDArray[np.int64], averaged: Callable[..., Tensor]) -> None:
        self.rows: tuple[list[Tensor], ...] = ([], [], [], [], [])
        self._drawn = drawn
        self._averaged = averaged
        self._seen = 0

    def add(self, features: tuple[Tensor, ...], counted: CountedPixels | None = None) -> None:
        """Add maps (B, C_k, h_k, w_k) of the next images."""
        numbers = np.arange(self._seen, self._seen + len(features[0]))
        self._seen += len(numbers)
        chosen = torch.from_numpy(np.isin(numbers, self._drawn))
        stages = [stage.flatten(2).transpose(1, 2).clamp(-FLOAT16_MAX, FLOAT16_MAX).half() for stage in features]
        whole = torch.ones_like(features[0][:, 0], dtype=torch.bool)
        of_positions = (whole if counted is None else counted.on_grid(STRIDES[0])).flatten(1)
        for rows, values in zip(self.rows, (self._averaged(features, counted), *stages, of_positions), strict=True):
            rows.append(values[chosen].cpu())
