"""The contract of a method: what engines, files, calibration, gate and tasks see of any of them."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rd_core.detectors.settings import DetectorSettings
from rd_core.files.training_state import Resumption
from rd_core.kernels.folding import fold_batch_norms
from rd_core.maps.micro_batch import FLOAT16_MAX, AnomalyMaps, in_micro_batches
from rd_core.pictures.images import Images
from rd_core.pictures.preprocessing import resize

S = TypeVar("S", bound=DetectorSettings)
HEADROOM = 256.0
"""times the peak of normal maps that defects may reach: what lies above float16's largest cannot be kept"""


class Detection(NamedTuple):
    """What a detector finds in one micro-batch, float32."""

    maps: Tensor
    """(B, H, W), from 0"""
    scores: Tensor
    """(B,), raw and unbounded; higher is more anomalous"""
    feature_distances: Tensor
    """(B,), see `rd_core.maps.micro_batch.AnomalyMaps`"""


@dataclass(frozen=True)
class Normals:
    """The normal images a detector is fitted to. The two sets are disjoint."""

    train: Images
    early_stop: Images
    """what a fit may look at and not learn: when to stop, how large maps are"""


@dataclass(frozen=True)
class FitProgress:
    """Where a fit is."""

    phase: Literal["features", "memory", "steps"]
    """the teacher's pass over the images, the choice of what is kept of them, the steps of gradient descent"""
    done: int
    """images, vectors or steps"""
    total: int
    """likewise"""
    loss: float | None = None
    """of the last step"""
    validation_loss: float | None = None
    """of the last look at the early-stop normals; None before it"""
    seconds: float = 0.0
    """since the phase began"""


@dataclass(frozen=True)
class FitRun:
    """How a fit is accompanied."""

    report: Callable[[FitProgress], None] = lambda _: None
    """called now and then; what it raises ends the fit"""
    resumption: Resumption | None = None
    """a method that keeps no states begins anew, whatever state is given"""


@dataclass(frozen=True)
class FitReport:
    """How a fit went."""

    summary: str
    """in a few words, for people: "450 steps", "2,000 vectors of 120 images" """
    figures: dict[str, Any] = field(default_factory=dict)
    """JSON values by names of the method's own, for the model card"""
    seconds: float = 0.0
    """of the whole training; `rd_core.detectors.training.train` fills it in"""


class Detector(nn.Module, ABC, Generic[S]):
    """One method, with all it learned. Images, threshold, engine, file and card are shared by all methods.

    Every tensor that scoring needs is a parameter or a buffer, so that it is in the file and moves to the GPU.
    """

    name: ClassVar[str]
    """of registry, settings, card and weights file: that of `Settings.method`"""
    Settings: ClassVar[type[DetectorSettings]]
    exportable: ClassVar[bool] = True
    """whether `detect` can be exported, as a CUDA graph or to OpenVINO: tensors of one shape, no gradients"""
    continues: ClassVar[bool] = False
    """whether a fit goes on from the weights it finds, where they come from a detector of the same settings"""
    sized_by_fit: ClassVar[tuple[str, ...]] = ()
    """buffers whose first dimension only a fit decides, as a memory of features; built with 0 rows"""
    settings: S
    map_scale: Tensor

    def __init__(self, settings: S) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("map_scale", torch.ones(()))

    @classmethod
    @abstractmethod
    def build(cls, settings: S, *, teacher_weights: Path | None = None, pretrained: bool = True) -> Self:
        """A detector that was not fitted yet; what is random is drawn from torch's state.

        teacher_weights, pretrained: see `rd_core.features.backbone.build_teacher`, as the errors.
        """

    @property
    @abstractmethod
    def map_values(self) -> str:
        """A sentence for card and map store: what a map's values are."""

    @property
    def score_is_map_maximum(self) -> bool:
        """Else map and score have scales of their own: the score's threshold says nothing of a pixel."""
        return True

    @property
    def device(self) -> torch.device:
        return self.map_scale.device

    @abstractmethod
    def fit(self, normals: Normals, run: FitRun) -> FitReport:
        """Learn what is normal, in place, from seeded random numbers alone.

        Raises CheckpointError for a state that is damaged or another fit's, before any work, TrainingDiverged, and
        what fetching an image raises.
        """

    @abstractmethod
    def detect(self, images: Tensor) -> Detection:
        """One micro-batch uint8 (B, H, W, 3) of the detector's size, none of which changes what is found in another.

        Maps are multiplied by `map_scale`. Gradients are the method's own business.
        """

    def score(self, images: NDArray[np.uint8]) -> AnomalyMaps:
        """uint8 (B, H, W, 3) in [0, 255], of the detector's size -> maps (B, H, W) and scores (B,), float32.

        An image's map and score do not depend on the other images: all go through in micro-batches of one
        size, the last of which is filled up. Raises ValueError for other shapes, RuntimeError in training mode.
        """
        if self.training:
            raise RuntimeError(
                "the model is in training mode: scores would depend on the batch. Call model.eval() first."
            )
        return in_micro_batches(images, self.settings.micro_batch_shape, self._detect_arrays)

    def _detect_arrays(self, images: NDArray[np.uint8]) -> AnomalyMaps:
        return AnomalyMaps(*(found.detach().cpu().numpy() for found in self.detect(torch.from_numpy(images))))

    def networks(self) -> Iterable[nn.Module]:
        """What computes in `settings.precision`."""
        return ()

    def ready(self) -> Self:
        """A copy that scores faster and the same: eval mode, every batch norm folded, nothing to train. It shares its
        own buffers, such as a memory, with this one.

        Keep the original for training and for checkpoints.
        """
        memories = {id(memory): memory for memory in self.buffers(recurse=False)}
        ready = copy.deepcopy(self, memories)
        fold_batch_norms(ready)
        if self.settings.precision == "bfloat16":
            for network in ready.networks():  # once, not at every batch
                network.to(torch.bfloat16)
        return ready.requires_grad_(False).to(memory_format=torch.channels_last)

    def fit_map_scale(self, images: Images) -> None:
        """Scale maps by a power of two, if what these normals peak at leaves defects too little of float16's range:
        stored maps are scaled, never cut. For `fit`, of a method whose distances have no natural bound."""
        self.map_scale.fill_(1)
        _, height, width, _ = self.settings.micro_batch_shape
        some = [
            resize(np.asarray(images[i]), height, width) for i in range(min(len(images), self.settings.micro_batch))
        ]
        was_training = self.training
        peak = float(self.eval().score(np.stack(some)).maps.max())
        self.train(was_training)
        if peak * HEADROOM > FLOAT16_MAX:
            self.map_scale.fill_(2.0 ** -math.ceil(math.log2(peak * HEADROOM / FLOAT16_MAX)))
