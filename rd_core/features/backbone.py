"""The teacher: a frozen encoder whose first three stages are the features of all methods."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import torch
from torch import Tensor, nn

from rd_core.features.backbone_spec import TeacherSpec, teacher_spec
from rd_core.features.backbone_weights import load_weights
from rd_core.features.efficientnet_lite import EfficientNetLite
from rd_core.kernels.folding import fold_batch_norms

STRIDES = (4, 8, 16)
"""of the three feature maps, in pixels"""


class Frozen(nn.Module):
    """Pretrained layers without gradients, always in eval mode, with batch norms folded."""

    def __init__(self, stages: tuple[nn.Module, ...]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        fold_batch_norms(self)
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002  # nn.Module.train's signature; frozen layers ignore the mode
        """Stay in eval mode."""
        return super().train(False)


class Teacher(Frozen):
    """The first three stages of a pretrained encoder."""

    def __init__(self, spec: TeacherSpec, stages: tuple[nn.Module, nn.Module, nn.Module]) -> None:
        super().__init__(stages)
        self.spec = spec

    @property
    def channels(self) -> tuple[int, int, int]:
        """Channels of the three feature maps."""
        return self.spec.channels

    @torch.inference_mode()
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (B, C_k, H/s, W/s) at s = 4, 8, 16 of normalised images float32 (B, 3, H, W), without gradients."""
        features = []
        x = images
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)


class FourthStage(Frozen):
    """The encoder's stage after the teacher: the baseline bottleneck of the paper's Table 5."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, C_3, H/16, W/16) -> (B, embedding channels, H/32, W/32)."""
        (stage,) = self.stages
        return cast(Tensor, stage(features))


class Pretrained(NamedTuple):
    """The parts of a pretrained classifier."""

    teacher: Teacher
    fourth: FourthStage


def build_teacher(name: str, *, weights: Path | None = None, pretrained: bool = True) -> Pretrained:
    """Build a teacher and its fourth stage.

    weights: a local .pth or .safetensors file of the whole classifier; by default they come from the package, a cache
    or a download. pretrained=False: random weights, to be overwritten by a checkpoint. Raises UnknownTeacher or
    TeacherUnavailable.
    """
    spec = teacher_spec(name)
    build = _vgg16 if name == "vgg16" else _efficientnet if name.startswith("efficientnet") else _resnet_stages
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
        nn.Sequential(net.conv_stem, net.bn1, blocks[0], blocks[1]),
        blocks[2],
        nn.Sequential(blocks[3], blocks[4]),
        blocks[5],
    )


def _vgg16(spec: TeacherSpec, adopt: Adopt | None) -> Stages:  # noqa: ARG001  # builders share a signature; there is one VGG
    layers = nn.Sequential()
    inputs = 3
    for convolutions, width in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(convolutions):
            layers.extend([nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)])
            inputs = width
        layers.append(nn.MaxPool2d(2))
    if adopt:  # a file has the layers of the classifier, too, half a gigabyte that no method needs
        adopt(nn.ModuleDict({"features": layers}))
    return layers[:10], layers[10:17], layers[17:24], layers[24:]


def _resnet_stages(spec: TeacherSpec, adopt: Adopt | None) -> Stages:
    import torchvision  # noqa: PLC0415  # takes two seconds to import, and only ResNet teachers need it

    net: Any = getattr(torchvision.models, spec.name)(weights=None)
    if adopt:
        adopt(net)
    stem = (net.conv1, net.bn1, net.relu, net.maxpool)
    return nn.Sequential(*stem, net.layer1), net.layer2, net.layer3, net.layer4
