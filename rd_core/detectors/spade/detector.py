"""SPADE after Cohen and Hoshen (2020): an image beside the normals that it is nearest to, position by position.

Nothing is trained. Of every normal the teacher's maps are kept, and the average of its fourth stage's. An image's
score is how far its own average lies from those of the `nearest` normals, in the mean. The maps of these, brought to
the first stage's grid and joined, are a gallery: a position is as strange as the nearest in it are far.

Public code searches each stage by itself among 5 normals and averages the stages' distances. The default is the
paper's: one search over the joined stages, among 50. Distances are Euclidean, as there; the paper squares them.

Cost of an image: 2 C P G operations for P positions of C channels and G in the gallery, which are 295 GFLOP at 256 x
256 (P 4096, C 176, G 50 P), some 8 s on a core. They grow with the square of the image's pixels, and fall with
`nearest` and `gallery_stride`. A block of P x G is held, never all. Weights: 0.34 MB a normal at 256 x 256, at most
`gallery_bytes`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rd_core.detectors.detector import FitReport, FitRun, Normals
from rd_core.detectors.feature_detector import FeatureDetector, Features
from rd_core.detectors.spade.settings import SpadeSettings
from rd_core.features.backbone import STRIDES, Pretrained
from rd_core.features.standardisation import Moments
from rd_core.kernels.precision import networks_in
from rd_core.maps.micro_batch import FLOAT16_MAX

_BLOCK = 2**22
"""distances held at once, at most: more are no quicker"""


class Spade(FeatureDetector[SpadeSettings]):
    """Sub-image anomaly detection with deep pyramid correspondences."""

    name: ClassVar[str] = SpadeSettings.method
    Settings = SpadeSettings
    exportable: ClassVar[bool] = False  # which gallery an image is compared with is known while it is scored
    sized_by_fit: ClassVar[tuple[str, ...]] = ("averages", "gallery_0", "gallery_1", "gallery_2")
    averages: Tensor

    def __init__(self, settings: SpadeSettings, pretrained: Pretrained) -> None:
        super().__init__(settings, pretrained)
        self.fourth = pretrained.fourth
        self.register_buffer("averages", torch.zeros(0, self.teacher.spec.embedding_channels))
        for stage, (channels, height, width) in enumerate(self.feature_shapes):
            self.register_buffer(f"gallery_{stage}", torch.zeros(0, height * width, channels, dtype=torch.float16))

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

    def fit(self, normals: Normals, run: FitRun) -> FitReport:
        """One pass of the teacher. See `Detector.fit`."""
        count = len(normals.train)
        drawn = min(count, self.settings.gallery_bytes // self.settings.bytes_a_normal)
        kept = _Kept(np.random.default_rng(self.settings.seed).permutation(count)[:drawn], self._averaged)
        self.gather(normals.train, run.report, [(Moments(), self.standardisation.fit), (kept, self._take)])
        self.fit_map_scale(normals.early_stop)
        told = f"{drawn} normals" + (f" of {count}, for gallery_bytes holds no more" if drawn < count else "")
        return FitReport(told, {"normals": drawn, "of": count})

    def _take(self, kept: "_Kept") -> None:
        for name, rows in zip(self.sized_by_fit, kept.rows, strict=True):
            setattr(self, name, torch.cat(rows).to(self.device))

    def distances(self, features: Features) -> tuple[Tensor, ...]:
        """See `FeatureDetector.distances`: at stride 4."""
        joined = self._joined(features.raw)
        nearest = self._nearest(features)[1].tolist()
        found: list[Tensor] = []
        for place, normals in enumerate(nearest):
            if place and torch.equal(joined[place], joined[place - 1]):
                found.append(found[-1])  # one and the same image fills up a micro-batch
            else:
                found.append(
                    mean_nearest(_positions(joined[place]), self._gallery(normals), self.settings.counterparts)
                )
        return (torch.stack(found).reshape(-1, *joined.shape[2:]),)

    def image_scores(self, maps: Tensor, features: Features, distances: tuple[Tensor, ...]) -> Tensor:
        """The mean distance of the averages from those of the nearest normals, (B,)."""
        del maps, distances
        return self._nearest(features)[0].mean(dim=1)

    def _nearest(self, features: Features) -> tuple[Tensor, Tensor]:
        """(distances, which) of the nearest normals, (B, K) each."""
        apart = torch.cdist(self._averaged(features.raw), self.averages, compute_mode="donot_use_mm_for_euclid_dist")
        return apart.topk(min(self.settings.nearest, len(self.averages)), largest=False)

    def _averaged(self, raw: tuple[Tensor, ...]) -> Tensor:
        """The fourth stage's features over all positions, (B, E)."""
        with networks_in(self.settings.precision, self.device):
            return self.fourth(raw[2]).float().mean(dim=(2, 3))

    def _joined(self, raw: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_k, h_k, w_k) -> (B, C, h_1, w_1), less the normals' mean: small numbers round less."""
        size = raw[0].shape[2:]
        centred = [one - self.standardisation.get_buffer(f"mean_{k}")[:, None, None] for k, one in enumerate(raw)]
        return torch.cat([F.interpolate(one, size, mode="bilinear", align_corners=False) for one in centred], dim=1)

    def _gallery(self, normals: Sequence[int]) -> Iterator[Tensor]:
        """Positions (G, C) of one normal after the other."""
        step = self.settings.gallery_stride // STRIDES[0]
        for index in normals:
            maps = [
                self.get_buffer(f"gallery_{k}")[index].float().T.reshape(1, *shape)
                for k, shape in enumerate(self.feature_shapes)
            ]
            yield _positions(self._joined(maps)[0, :, ::step, ::step])


def mean_nearest(positions: Tensor, gallery: Iterable[Tensor], count: int) -> Tensor:
    """The mean distance of each position (P, C) from its `count` nearest, or from all, in the parts (G, C) of a
    gallery: (P,). Exact; a block of the distances is held at a time."""
    squares = positions.square().sum(dim=1, keepdim=True)
    found = positions.new_zeros(len(positions), 0)
    for block in (some for part in gallery for some in part.split(max(1, _BLOCK // len(positions)))):
        apart = torch.addmm(block.square().sum(dim=1), positions, block.T, alpha=-2)
        together = torch.cat([found, apart.amin(dim=1, keepdim=True) if count == 1 else apart], dim=1)
        found = together.topk(min(count, together.shape[1]), largest=False).values
    return (found + squares).clamp_min(0).sqrt().mean(dim=1)


def _positions(maps: Tensor) -> Tensor:
    """(C, h, w) -> (h w, C)"""
    return maps.flatten(1).T


class _Kept:
    """Of the images with the numbers `drawn`, in their order, what the buffers named in `sized_by_fit` hold."""

    def __init__(self, drawn: NDArray[np.int64], averaged: Callable[[tuple[Tensor, ...]], Tensor]) -> None:
        self.rows: tuple[list[Tensor], ...] = ([], [], [], [])
        self._drawn = drawn
        self._averaged = averaged
        self._seen = 0

    def add(self, features: tuple[Tensor, ...]) -> None:
        """Maps (B, C_k, h_k, w_k) of the next images."""
        numbers = np.arange(self._seen, self._seen + len(features[0]))
        self._seen += len(numbers)
        chosen = torch.from_numpy(np.isin(numbers, self._drawn))
        stages = [one.flatten(2).transpose(1, 2).clamp(-FLOAT16_MAX, FLOAT16_MAX).half() for one in features]
        for rows, found in zip(self.rows, (self._averaged(features), *stages), strict=True):
            rows.append(found[chosen].cpu())
