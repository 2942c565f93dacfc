"""The contract of a method, used by engines, files, calibration, gate and tasks."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rd_core.detectors.settings import DetectorSettings
from rd_core.features.shared_pass import SharedPass
from rd_core.files.training_state import Resumption
from rd_core.kernels.folding import fold_batch_norms
from rd_core.maps.micro_batch import FLOAT16_MAX, AnomalyMaps, in_micro_batches
from rd_core.pictures.images import Images, counted_in
from rd_core.pictures.preprocessing import resize

S = TypeVar("S", bound=DetectorSettings)
HEADROOM = 256.0
"""ratio of the largest storable value to the peak of normal maps, for defects"""


class Detection(NamedTuple):
    """A detector's output for one micro-batch, float32."""

    maps: Tensor
    """(B, H / s, W / s), not negative; s: the settings' map stride"""
    scores: Tensor
    """(B,), raw and unbounded; higher is more anomalous"""
    feature_distances: Tensor
    """(B,), see `rd_core.maps.micro_batch.AnomalyMaps`"""


@dataclass(frozen=True)
class Normals:
    """The normal images a detector is fitted to, in two disjoint sets. Nothing is learnt from their ignored pixels
    (see `rd_core.pictures.images.PartlyIgnored`)."""

    train: Images
    early_stop: Images
    """used to stop training and to scale maps, not to learn"""


@dataclass(frozen=True)
class FitProgress:
    """The state of a fit."""

    phase: Literal["features", "distillation", "memory", "folds", "steps", "held out"]
    """the reading of the images or the teacher's pass over them, the steps of a teacher that is learnt, the selection
    of a memory, the steps of gradient descent of folds, those of the detector, the judging of the normals by models
    without their parts"""
    done: int
    """images, vectors or steps"""
    total: int
    """likewise"""
    loss: float | None = None
    """of the last step"""
    validation_loss: float | None = None
    """of the last validation; None before it"""
    seconds: float = 0.0
    """since the phase began"""


class JudgedImages(NamedTuple):
    """Images that are judged, and from which nothing is learnt."""

    images: Images
    parts: Sequence[str]
    """the part that each image shows"""


@dataclass(frozen=True)
class CrossFit:
    """Asks a fit to judge images by models that have not seen the parts they show.

    The n images of the fit are numbered: the training images, then the early-stop images. They are the m images to
    judge, too, unless others are named.
    """

    parts: Sequence[str]
    """(n,) the part that each image of the fit shows"""
    set_aside: Callable[[NDArray[np.float64]], Collection[int]]
    """called once, before `judge`, with scores (m,) by such models that can be compared with each other; returns the
    images of the fit that the detector must not learn from"""
    judge: Callable[[Sequence[int], AnomalyMaps], None]
    """called with places (B,) among the images to judge and their maps and scores by such models, on the scale of the
    fitted detector: every image once, a part's in ascending order, those set aside too"""
    others: JudgedImages | None = None
    """the images to judge instead, such as tiles where the images of the fit are random crops"""

    @property
    def judged_parts(self) -> Sequence[str]:
        """(m,) the part that each image to judge shows"""
        return self.parts if self.others is None else self.others.parts


@dataclass(frozen=True)
class FitRun:
    """Callbacks of a fit, and what it shares with others."""

    report: Callable[[FitProgress], None] = lambda _: None
    """called now and then; an exception ends the fit"""
    resumption: Resumption | None = None
    """a method that keeps no states starts from the beginning"""
    cross: CrossFit | None = None
    """None: no normal is judged"""
    shared: SharedPass | None = None
    """of other fits on the same teacher and images on this machine; changes no result"""


@dataclass(frozen=True)
class FitReport:
    """How a fit went."""

    summary: str
    """in a few words, for people: "450 steps", "2,000 vectors of 120 images" """
    figures: dict[str, Any] = field(default_factory=dict)
    """JSON values by names of the method's own, for the model card; `folds` of a cross-fit: how many, or None if each
    part was left out exactly"""
    seconds: float = 0.0
    """of the whole training; `rd_core.detectors.training.train` fills it in, and the next"""
    shared_seconds: float = 0.0
    """processor seconds that other fits spent on the features that this one read from a `SharedPass`"""


class Detector(nn.Module, ABC, Generic[S]):
    """Base class of methods. Images, threshold, engine, file and card are shared by all methods.

    Every tensor needed for scoring is a parameter or a buffer, so it is saved and moves to the GPU.
    """

    name: ClassVar[str]
    """in registry, settings, card and weights file: that of `Settings.method`"""
    Settings: ClassVar[type[DetectorSettings]]
    exportable: ClassVar[bool] = True
    """whether `detect` can become a CUDA graph or an OpenVINO model: tensors of one shape, no gradients"""
    continues: ClassVar[bool] = False
    """whether a fit starts from the weights of a detector of the same settings"""
    sized_by_fit: ClassVar[tuple[str, ...]] = ()
    """buffers whose first dimension a fit decides, such as a memory; built with 0 rows"""
    settings: S
    map_scale: Tensor

    def __init__(self, settings: S) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("map_scale", torch.ones(()))

    @classmethod
    @abstractmethod
    def build(cls, settings: S, *, teacher_weights: Path | None = None, pretrained: bool = True) -> Self:
        """Build an unfitted detector, with random numbers from torch's state.

        teacher_weights, pretrained and errors: see `rd_core.features.backbone.build_teacher`.
        """

    @property
    @abstractmethod
    def map_values(self) -> str:
        """The meaning of a map's values, a sentence for card and map store."""

    @property
    def score_is_map_maximum(self) -> bool:
        """Otherwise map and score have different scales, and the score's threshold does not apply to pixels."""
        return True

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of its images, in pixels."""
        return self.settings.image_height, self.settings.image_width

    @property
    def device(self) -> torch.device:
        return self.map_scale.device

    @abstractmethod
    def fit(self, normals: Normals, run: FitRun) -> FitReport:
        """Learn what is normal, in place; deterministic by seed.

        Raises CheckpointError for a damaged state or one of another fit, before any work, TrainingDiverged, and
        errors of fetching an image.
        """

    @abstractmethod
    def detect(self, images: Tensor, counted: Tensor | None = None) -> Detection:
        """Detect in one micro-batch uint8 (B, H, W, 3) of the detector's size; images do not affect each other.

        counted: bool (B, H, W), False for ignored pixels, which `images` have filled with a constant: their map is 0,
        and they add nothing to scores and feature distances. None: all count, with the same bits as all True.
        Maps are multiplied by `map_scale`. Gradients are up to the method.
        """

    def score(self, images: NDArray[np.uint8], counted: NDArray[np.bool_] | None = None) -> AnomalyMaps:
        """Score images uint8 (B, H, W, 3) in [0, 255], of the detector's size: maps (B, H / s, W / s) at the map
        stride s, and scores (B,), float32.

        counted: bool (B, H, W), see `detect`. An image's map and score do not depend on other images: micro-batches
        have one size, the last is padded. Raises ValueError for other shapes, RuntimeError in training mode.
        """
        if self.training:
            raise RuntimeError(
                "the model is in training mode: scores would depend on the batch. Call model.eval() first."
            )
        return in_micro_batches(images, self.settings.micro_batch_shape, self._detect_arrays, counted)

    def _detect_arrays(self, images: NDArray[np.uint8], counted: NDArray[np.bool_] | None) -> AnomalyMaps:
        pixels = None if counted is None else torch.from_numpy(counted)
        detection = self.detect(torch.from_numpy(images), pixels)
        return AnomalyMaps(*(tensor.detach().cpu().numpy() for tensor in detection))

    def networks(self) -> Iterable[nn.Module]:
        """The modules that compute in `settings.precision`."""
        return ()

    def ready(self) -> Self:
        """A copy for inference: eval mode, batch norms folded, no gradients. It shares the detector's own buffers,
        such as a memory.

        Keep the original for training and checkpoints.
        """
        memories = {id(memory): memory for memory in self.buffers(recurse=False)}
        ready = copy.deepcopy(self, memories)
        fold_batch_norms(ready)
        if self.settings.precision == "bfloat16":
            for network in ready.networks():  # once, not at every batch
                network.to(torch.bfloat16)
        return ready.requires_grad_(False).to(memory_format=torch.channels_last)

    def fit_map_scale(self, images: Images) -> None:
        """Scale maps by a power of two if the peaks of these normals leave defects too little of float16's range.

        For the `fit` of a method with unbounded distances: stored maps are scaled, never clipped.
        """
        peak = self.unscaled_peak(images)
        if peak * HEADROOM > FLOAT16_MAX:
            self.map_scale.fill_(2.0 ** -math.ceil(math.log2(peak * HEADROOM / FLOAT16_MAX)))

    def unscaled_peak(self, images: Images) -> float:
        """Maximum of the maps of the first micro-batch of these normals; sets `map_scale` to 1."""
        self.map_scale.fill_(1)
        _, height, width, _ = self.settings.micro_batch_shape
        numbers = range(min(len(images), self.settings.micro_batch))
        some = np.stack([resize(np.asarray(images[i]), height, width) for i in numbers])
        was_training = self.training
        peak = float(self.eval().score(some, counted_in(images, numbers)).maps.max())
        self.train(was_training)
        return peak
