"""The whole detector: teacher, bottleneck, student, and the way from images to maps and scores."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rd_core.detectors.reverse_distillation.blend import Blend
from rd_core.detectors.reverse_distillation.bottleneck import OneClassBottleneck, PretrainedBottleneck
from rd_core.detectors.reverse_distillation.cell_discriminator import CellDiscriminator
from rd_core.detectors.reverse_distillation.settings import ModelConfig
from rd_core.detectors.reverse_distillation.student import Student
from rd_core.features.backbone import STRIDES, Pretrained, build_teacher
from rd_core.features.standardisation import Standardisation
from rd_core.kernels.folding import fold_batch_norms
from rd_core.kernels.precision import networks_in
from rd_core.kernels.winograd import with_fewer_multiplications
from rd_core.maps.assembly import AnomalyMaps, MapAssembly, score_of
from rd_core.pictures.preprocessing import Normalisation


class ReverseDistillation(nn.Module):
    """Reverse Distillation after Deng and Li (CVPR 2022)."""

    def __init__(self, config: ModelConfig, pretrained: Pretrained) -> None:
        super().__init__()
        teacher = pretrained.teacher
        self.config = config
        self.teacher = teacher
        self.normalisation = Normalisation(teacher.spec.mean, teacher.spec.std)
        self.standardisation = Standardisation(teacher.channels)
        self.bottleneck = _bottleneck(config, pretrained)
        self.student = Student(teacher.spec, signed=config.standardise)
        strides = [STRIDES[stage - 1] for stage in config.map_stages]
        self.blend = Blend(len(strides))
        discriminators = nn.ModuleList(
            CellDiscriminator(teacher.channels, side, config.whitening_ridge, config.precision)
            for side in config.discriminator_cells
        )
        self.discriminators = cast(
            Sequence[CellDiscriminator], discriminators
        )  # a ModuleList tells no type of its items
        strides += config.discriminator_cells
        size = config.image_height, config.image_width
        self.assembly = MapAssembly(*size, config.smoothing_sigma, tuple(strides), align_corners=config.align_corners)
        self.to(memory_format=torch.channels_last)

    @property
    def device(self) -> torch.device:
        return self.assembly.rows.device

    def teacher_features(self, images: Tensor) -> tuple[Tensor, ...]:
        """uint8 (B, H, W, 3) -> the teacher's raw maps, float32 (B, C_k, H/s, W/s) at s = 4, 8, 16."""
        with networks_in(self.config.precision, self.device):
            return _as_floats(self.teacher(self.normalisation(images.to(self.device))))

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Standardised teacher features -> the student's features, in the same shapes."""
        with networks_in(self.config.precision, self.device):
            return _as_floats(self.student(self.bottleneck(features)))

    def counting(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Of the three stages' features those that make the map."""
        return tuple(features[stage - 1] for stage in self.config.map_stages)

    @torch.inference_mode()
    def detect(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 (B, H, W, 3) of the model's size -> maps float32 (B, H, W), scores and feature distances (B,)."""
        features = self.teacher_features(images)
        targets = self.standardisation(features)
        fine = self.blend(self.counting(targets), self.counting(self(targets)))
        maps = self.assembly((*fine, *(discriminator(features) for discriminator in self.discriminators)))
        distances = torch.stack([t.mean(dim=(2, 3)).square().mean(dim=1) for t in targets]).mean(dim=0).sqrt()
        return maps, score_of(maps, self.config.score), distances

    @torch.inference_mode()
    def score(self, images: NDArray[np.uint8]) -> AnomalyMaps:
        """uint8 (B, H, W, 3) in [0, 255], of the model's size -> maps (B, H, W) and scores (B,), float32.

        An image's map and score do not depend on the other images: all go through in micro-batches of one
        size, the last of which is filled up. Raises ValueError for other shapes, RuntimeError in training mode.
        """
        if self.training:
            raise RuntimeError(
                "the model is in training mode: scores would depend on the batch. Call model.eval() first."
            )
        return in_micro_batches(images, self.config, self._detect_arrays)

    def _detect_arrays(self, images: NDArray[np.uint8]) -> AnomalyMaps:
        return AnomalyMaps(*(found.cpu().numpy() for found in self.detect(torch.from_numpy(images))))


def _as_floats(maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(one.float() for one in maps)


def in_micro_batches(
    images: NDArray[np.uint8], config: ModelConfig, detect: Callable[[NDArray[np.uint8]], AnomalyMaps]
) -> AnomalyMaps:
    """`detect` of all images uint8 (B, H, W, 3), which it is given in micro-batches of one size, the last filled up.

    Raises ValueError for images that are not of the model's size.
    """
    _check(images, config)
    count = len(images)
    maps = np.empty(images.shape[:3], dtype=np.float32)
    scores, distances = np.empty((2, count), dtype=np.float32)
    for start in range(0, count, config.micro_batch):
        part = images[start : start + config.micro_batch]
        filled = np.zeros(config.micro_batch_shape, dtype=np.uint8)
        filled[: len(part)] = part
        stop = start + len(part)
        for whole, found in zip((maps, scores, distances), detect(filled), strict=True):
            whole[start:stop] = found[: len(part)]
    return AnomalyMaps(maps, scores, distances)


def _check(images: NDArray[np.uint8], config: ModelConfig) -> None:
    size = (config.image_height, config.image_width, 3)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != size:
        raise ValueError(
            f"images of shape {images.shape} and type {images.dtype} do not fit a model of uint8 (B, "
            f"{size[0]}, {size[1]}, 3); its scores would mean nothing. Resize them with "
            "rd_core.pictures.preprocessing.resize()."
        )


def build_model(
    config: ModelConfig, *, teacher_weights: Path | None = None, pretrained: bool = True
) -> ReverseDistillation:
    """An untrained model; bottleneck and student are drawn from torch's random state.

    Raises UnknownTeacher or TeacherUnavailable (see `build_teacher`).
    """
    return ReverseDistillation(config, build_teacher(config.teacher, weights=teacher_weights, pretrained=pretrained))


def _bottleneck(config: ModelConfig, pretrained: Pretrained) -> OneClassBottleneck | PretrainedBottleneck:
    if config.bottleneck == "pretrained":
        return PretrainedBottleneck(pretrained.fourth)
    return OneClassBottleneck(pretrained.teacher.spec, "none" if config.bottleneck == "oce" else config.fusion)


def prepare_for_inference(model: ReverseDistillation) -> ReverseDistillation:
    """A copy that scores faster and the same: eval mode, every batch norm folded, nothing to train.

    Keep the original for training and for checkpoints.
    """
    ready = copy.deepcopy(model)
    fold_batch_norms(ready)
    if model.config.precision == "float32" and model.device.type == "cpu":
        with_fewer_multiplications(ready)
    if model.config.precision == "bfloat16":
        of_cells = [discriminator.layers[:-1] for discriminator in ready.discriminators]
        for networks in (ready.teacher, ready.bottleneck, ready.student, *of_cells):  # once, not at every batch
            networks.to(torch.bfloat16)
    return ready.requires_grad_(False).to(memory_format=torch.channels_last)


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
