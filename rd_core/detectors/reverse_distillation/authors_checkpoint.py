"""Checkpoints published by the paper's authors.

Their files hold the tables `bn` (fusion and embedding) and `decoder` (the student); the teacher is torchvision's.
Their `conv4` and `bn4` are never used, and are left out.
"""

import pickle
import re
from pathlib import Path

import torch
from torch import Tensor

from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings, recipe
from rd_core.errors import CheckpointError

CURE = "Give a .pth file of the authors for the same teacher, as wres50_<category>.pth for wide_resnet50_2."
_FUSION = {"conv1": "0.0.0", "bn1": "0.0.1", "conv2": "0.1.0", "bn2": "0.1.1", "conv3": "1.0.0", "bn3": "1.0.1"}
"""their name -> our path, downsampling step and layer"""
_UNUSED = re.compile(r"(conv4|bn4)\.")


def authors_settings(teacher: str = "wide_resnet50_2", side: int = 256) -> ReverseDistillationSettings:
    """Settings of the model in their code: raw features, uncompressed fusion. side: pixels."""
    return recipe("paper", teacher=teacher, image_height=side, image_width=side, fusion="concatenated")


def load_authors_checkpoint(
    file: Path,
    settings: ReverseDistillationSettings | None = None,
    *,
    teacher_weights: Path | None = None,
    pretrained: bool = True,
) -> ReverseDistillation:
    """Load one of their checkpoints, in eval mode; settings: `authors_settings()` by default.

    Raises CheckpointError when the file cannot be read (as tensors only: no code in it runs) or its tensors are
    missing, superfluous or of another shape; TeacherUnavailable as `build_teacher` does.
    """
    tables = _read(file)
    model = ReverseDistillation.build(
        settings or authors_settings(), teacher_weights=teacher_weights, pretrained=pretrained
    )
    tensors = {f"bottleneck.{_bottleneck_name(n)}": t for n, t in tables["bn"].items() if not _UNUSED.match(n)}
    tensors |= {f"student.{_student_name(name)}": tensor for name, tensor in tables["decoder"].items()}
    _check(model, tensors, file)
    model.load_state_dict(tensors, strict=False)
    return model.eval()


def _read(file: Path) -> dict[str, dict[str, Tensor]]:
    try:
        tables = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as e:
        raise CheckpointError(f"{file} cannot be read as tables of tensors: {e}. No model was loaded. {CURE}") from e
    if not isinstance(tables, dict) or not all(isinstance(tables.get(name), dict) for name in ("bn", "decoder")):
        raise CheckpointError(f'{file} has no tables "bn" and "decoder". No model was loaded. {CURE}')
    return tables


def _bottleneck_name(name: str) -> str:
    layer, _, rest = name.partition(".")
    if layer in _FUSION:
        return f"fusion.paths.{_FUSION[layer]}.{rest}"
    return name.replace("bn_layer.", "embedding.").replace("downsample.", "shortcut.")


def _student_name(name: str) -> str:
    stage = re.sub(r"^layer([123])\.", lambda m: f"stages.{int(m[1]) - 1}.", name)
    return stage.replace("upsample.", "shortcut.")


def _check(model: ReverseDistillation, tensors: dict[str, Tensor], file: Path) -> None:
    wanted = {n: t for n, t in model.state_dict().items() if n.startswith(("bottleneck.", "student."))}
    faults = [f"{name} is missing" for name in wanted if name not in tensors]
    faults += [f"{name} is unknown" for name in tensors if name not in wanted]
    faults += [
        f"{name} has shape {list(tensors[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    if faults:
        raise CheckpointError(
            f"{file} does not fit {model.settings.teacher}: {faults[0]}, and {len(faults) - 1} more differences. "
            f"No model was loaded. {CURE}"
        )
