"""Signs that a training went wrong in a way that its loss praises."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rd_core.detectors.fyd.aligned_backbone import Aligned, AlignedBackbone
from rd_core.errors import TrainingCollapsed
from rd_core.features.backbone import STRIDES

LEAST_SPREAD = 0.2
"""of what the untrained backbone's features have"""
MOST_HELD = 0.95
"""mean share of its bound that an element of a transform may have"""


def spreads(aligned: Aligned) -> list[float]:
    """Of each stage, the standard deviation of its features over positions and images, by direction alone: 0 if all
    positions look alike, 1 at most."""
    found = []
    for stage, stride in zip(aligned.features, STRIDES, strict=True):
        rows = stage.permute(0, 2, 3, 1)
        rows = rows.flatten(0, 2) if aligned.counted is None else rows[aligned.counted.on_grid(stride)]
        rows = torch.nn.functional.normalize(rows, dim=1)
        found.append(float(rows.var(dim=0, correction=0).sum().sqrt()) if len(rows) else 0.0)
    return found


def check_spreads(now: Sequence[float], before: Sequence[float]) -> None:
    """Raise TrainingCollapsed if features tell positions apart no more, though the untrained backbone's did."""
    for number, (spread, untrained) in enumerate(zip(now, before, strict=True), start=1):
        if spread < LEAST_SPREAD * untrained:
            raise TrainingCollapsed(
                f"the features of stage {number} have become nearly the same everywhere (spread {spread:.3f}, "
                f"{untrained:.3f} before the training), so a defect would look like anything else and nothing was "
                "kept. The normals may show nothing in a fixed place: use patchcore or reverse_distillation, or "
                "fewer steps."
            )


def check_transforms(backbone: AlignedBackbone, transforms: Sequence[Tensor]) -> None:
    """Raise TrainingCollapsed if a transformer is held by its bound for nearly all images."""
    whose = ["images", *(f"stage {number}'s features" for number in range(1, len(transforms)))]
    for name, transformer, own in zip(whose, backbone.transformers, transforms, strict=True):
        held = float(transformer.shares(own).abs().mean(dim=0).amax())
        if held > MOST_HELD:
            raise TrainingCollapsed(
                f"the alignment moves the {name} as far as it may, whatever they show ({held:.0%} of its bound on "
                "average), so it aligns nothing and nothing was kept. If parts lie further apart, set align = "
                '"shift" or "rigid"; if they lie at random, use patchcore or reverse_distillation.'
            )
