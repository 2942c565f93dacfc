"""Multiresolution Knowledge Distillation as a detector (Salehi et al., CVPR 2021).

A frozen source (VGG16 in the paper, by default our backbone) and a narrower cloner see the same image. The cloner
learns on normal images to repeat four stages of the source, in the values and in the direction of its features. The
last three stages score: an image's score is its loss. The map is the loss's gradient with respect to the image, its
magnitudes summed over the colours, smoothed by a Gaussian and opened. So a map shows which pixels move the loss; it
has a scale of its own.

Deviations, beside the source: by default its features are standardised (`standardise`); training stops early; images
are normalised as the source's weights want, which the authors leave out for MVTec AD; the authors stretch each map
to its own range, so that maps of two images cannot be compared, and ours have one scale.

Cost at 256 x 256 with the default source, on one core: a step of 16 images 0.3 s, of which 500 are taken at most; an
image 0.08 s, and with SmoothGrad that once more for each copy. A training takes 1.7 GB beside the program, scoring
0.3 GB. Weights: 9 MB.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rd_core.detectors.detector import Detection, Detector, FitReport, FitRun, Normals
from rd_core.detectors.feature_detector import feature_distances
from rd_core.detectors.mkd import training
from rd_core.detectors.mkd.cloner import Cloner
from rd_core.detectors.mkd.loss import SCORED, STRIDES, stage_losses
from rd_core.detectors.mkd.opening import opened
from rd_core.detectors.mkd.settings import MKDSettings
from rd_core.features.backbone import Pretrained, build_teacher
from rd_core.features.cache import pass_digest
from rd_core.features.standardisation import Standardisation
from rd_core.kernels.precision import networks_in
from rd_core.maps.assembly import MapAssembly
from rd_core.pictures.counted_pixels import CountedPixels, zeroed
from rd_core.pictures.images import Images
from rd_core.pictures.preprocessing import Normalisation

_PIXELS_AT_ONCE = 4 * 256 * 256
"""most pixels whose activations lie in memory for their gradients"""
_LARGEST_SCALE = 40
"""exponent of two: a map whose peaks are below 1e-12 is rounding, and is not enlarged to look like one"""


class _Losses(NamedTuple):
    """Of a micro-batch."""

    losses: Tensor
    """(B,)"""
    raw: tuple[Tensor, ...]
    """the source's maps, zero at ignored positions"""


class MKD(Detector[MKDSettings]):
    """Source, cloner, and the map of the loss's gradients."""

    name: ClassVar[str] = MKDSettings.method
    Settings = MKDSettings
    exportable: ClassVar[bool] = False  # an exported graph has no gradients
    map_values = (
        "magnitude of the gradient, with respect to each pixel, of the loss between source and cloner, smoothed and "
        "opened"
    )

    def __init__(self, settings: MKDSettings, pretrained: Pretrained) -> None:
        super().__init__(settings)
        self.teacher, self.fourth = pretrained
        spec = self.teacher.spec
        self.normalisation = Normalisation(spec.mean, spec.std)
        self.standardisation = Standardisation((*spec.channels, spec.embedding_channels))
        self.cloner = Cloner(spec, settings.cloner_width).to(memory_format=torch.channels_last)
        self.smoothing = MapAssembly(*self.image_size, settings.smoothing_sigma, (1,))

    @classmethod
    def build(cls, settings: MKDSettings, *, teacher_weights: Path | None = None, pretrained: bool = True) -> Self:
        """See `Detector.build`. Raises UnknownTeacher or TeacherUnavailable."""
        return cls(settings, build_teacher(settings.teacher, weights=teacher_weights, pretrained=pretrained))

    @property
    def score_is_map_maximum(self) -> bool:
        return False

    def networks(self) -> Iterable[nn.Module]:
        """See `Detector.networks`."""
        return self.teacher, self.fourth, self.cloner

    def fit(self, normals: Normals, run: FitRun) -> FitReport:
        """See `Detector.fit`. A fit that was killed starts over."""
        report = training.fit(self, normals, run.report, run.shared)
        self.fit_map_scale(normals.early_stop)
        return report

    def fit_map_scale(self, images: Images) -> None:
        """Scale maps by a power of two, so that the highest peak of these normals lies in (0.5, 1]: gradients are too
        small for float16."""
        peak = self.unscaled_peak(images)
        if peak > 0:
            self.map_scale.fill_(2.0 ** min(-math.ceil(math.log2(peak)), _LARGEST_SCALE))

    @property
    def feature_shapes(self) -> list[tuple[int, int, int]]:
        """(C, h, w) of the image and of the source's four maps, as `teacher_features` gives them."""
        height, width = self.image_size
        channels = (*self.teacher.channels, self.teacher.spec.embedding_channels)
        stages = [(count, height // stride, width // stride) for count, stride in zip(channels, STRIDES, strict=True)]
        return [(3, height, width), *stages]

    def pass_digest(self) -> str:
        """See `rd_core.features.cache.FeatureMaker.pass_digest`."""
        return pass_digest((self.teacher, self.fourth), self, self.settings.precision, self.device)

    @torch.no_grad()
    def teacher_features(self, images: Tensor, counted: CountedPixels | None = None) -> tuple[Tensor, ...]:
        """The images uint8 (B, H, W, 3), as float32 (B, 3, H, W) in [0, 255], and the source's raw maps, float32
        (B, C_k, H/s, W/s) at s = 4, 8, 16, 32, zero at ignored positions. A cloner trains on both."""
        images = images.to(self.device)
        counted = None if counted is None else counted.to(self.device)
        return images.float().permute(0, 3, 1, 2), *self._source(self._shown(images, counted), counted)

    def training_losses(self, images: Tensor, raw: tuple[Tensor, ...], counted: CountedPixels | None) -> Tensor:
        """Losses (B,) over all four stages, of what `teacher_features` gave."""
        shown = self._shown(images.permute(0, 2, 3, 1).to(torch.uint8), counted)
        targets, outputs = self._targets(raw, counted), self._clone(shown, counted)
        return stage_losses(targets, outputs, self.settings.value_weight, counted)

    def detect(self, images: Tensor, counted: Tensor | None = None) -> Detection:
        """See `Detector.detect`. Leaves a caller's inference mode for as long as it needs gradients, and keeps
        activations of a part of the micro-batch at a time."""
        at_once = max(1, _PIXELS_AT_ONCE // images.shape[1] // images.shape[2])
        parts = images.split(at_once)
        masks = [None] * len(parts) if counted is None else counted.split(at_once)
        found = [self._detect_at_once(*part) for part in zip(parts, masks, strict=True)]
        return Detection(*map(torch.cat, zip(*found, strict=True)))

    def _detect_at_once(self, images: Tensor, counted: Tensor | None) -> Detection:
        pixels = None if counted is None else CountedPixels(counted.to(self.device))
        with torch.inference_mode(mode=False), torch.enable_grad():
            shown = self._shown(images.to(self.device), pixels)
            found, gradients = self._loss_and_gradients(shown, pixels)
            if self.settings.map_gradients == "smooth":
                noisy = (self._loss_and_gradients(copy, pixels)[1] for copy in self._noisy_copies(shown, pixels))
                gradients = sum(noisy, torch.zeros_like(gradients)) / self.settings.noisy_copies
        maps = self.map_scale * self._map(gradients, pixels)
        standardised = self._zeroed(self.standardisation(found.raw), pixels)
        return Detection(maps, found.losses, feature_distances(standardised, pixels, STRIDES))

    def _loss_and_gradients(self, shown: Tensor, counted: CountedPixels | None) -> tuple[_Losses, Tensor]:
        """The loss over the stages that score, without gradients, and magnitudes of its gradient, (B, H, W)."""
        shown = shown.detach().requires_grad_()
        raw = self._source(shown, counted)
        targets, outputs = self._targets(raw, counted)[-SCORED:], self._clone(shown, counted)[-SCORED:]
        losses = stage_losses(targets, outputs, self.settings.value_weight, counted)
        # An image's loss depends on no other image, so the gradient of the sum is each one's own.
        losses.sum().backward(inputs=[shown])
        assert shown.grad is not None
        return _Losses(losses.detach(), tuple(stage.detach() for stage in raw)), shown.grad.abs().sum(dim=1)

    def _noisy_copies(self, shown: Tensor, counted: CountedPixels | None) -> Iterator[Tensor]:
        """SmoothGrad's copies of normalised images (B, 3, H, W): all images get the same noise, each as much as its
        own range of values allows, so that none depends on its batch."""
        aside = None if counted is None else ~counted.pixels[:, None]
        low = shown if aside is None else shown.masked_fill(aside, torch.inf)
        high = shown if aside is None else shown.masked_fill(aside, -torch.inf)
        reach = (high.amax(dim=(1, 2, 3)) - low.amin(dim=(1, 2, 3))).clamp_min(0)[:, None, None, None]
        random = torch.Generator().manual_seed(0)
        for _ in range(self.settings.noisy_copies):
            noise = torch.randn(shown.shape[1:], generator=random).to(self.device)
            yield zeroed(shown + self.settings.noise * reach * noise, counted, 1)

    def _map(self, gradients: Tensor, counted: CountedPixels | None) -> Tensor:
        """Magnitudes (B, H, W) of gradients -> map (B, H / s, W / s) at the map stride s."""
        smoothed = self.smoothing((zeroed(gradients, counted, 1),))
        peaks = opened(smoothed, self.settings.opening_radius, None if counted is None else counted.pixels)
        stride = self.settings.map_stride
        return zeroed(F.avg_pool2d(peaks[:, None], stride)[:, 0], counted, stride)

    def _shown(self, images: Tensor, counted: CountedPixels | None) -> Tensor:
        """The networks' input float32 (B, 3, H, W) from images uint8 (B, H, W, 3). Ignored pixels are 0: the cloner
        is no frozen backbone, and what it sees of them would move its weights."""
        return zeroed(self.normalisation(images), counted, 1)

    def _source(self, shown: Tensor, counted: CountedPixels | None) -> tuple[Tensor, ...]:
        """The source's raw maps, zero at ignored positions; with gradients, which `Teacher.forward` has none of."""
        stages = []
        with networks_in(self.settings.precision, self.device):
            for stage in (*self.teacher.stages, *self.fourth.stages):
                shown = stage(shown)
                stages.append(shown)
        return self._zeroed(stages, counted)

    def _clone(self, shown: Tensor, counted: CountedPixels | None) -> tuple[Tensor, ...]:
        with networks_in(self.settings.precision, self.device):
            stages = self.cloner(shown)
        return self._zeroed(stages, counted)

    def _targets(self, raw: tuple[Tensor, ...], counted: CountedPixels | None) -> tuple[Tensor, ...]:
        """What the cloner is to repeat."""
        return self._zeroed(self.standardisation(raw), counted) if self.settings.standardise else raw

    def _zeroed(self, stages: Iterable[Tensor], counted: CountedPixels | None) -> tuple[Tensor, ...]:
        """As float32, zero at ignored positions."""
        return tuple(zeroed(stage.float(), counted, stride) for stage, stride in zip(stages, STRIDES, strict=True))
