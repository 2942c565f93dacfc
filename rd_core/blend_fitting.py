"""The shares of direction, magnitude and memories in the map, by early-stop normals and made-up defects."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from rd_core.blend import best_share, squared_distance
from rd_core.config import COARSEST_STRIDE
from rd_core.loss import cosine_distance
from rd_core.model import MICRO_BATCH, ReverseDistillation
from rd_core.teacher_features import FeatureSource

EVEN_SHARE = 0.5
"""of magnitude, where nothing is known"""
FLOOR = 0.1
"""the quantile of a map below which nearly nothing lies: what every place of a normal image has"""
SMALLEST_LEVEL = 1e-3
"""of a map: where normals do not differ there is none"""
LEAST_CONTRAST = 0.25
"""of a map's peak above its floor, relative to the peak: a picture of few cells has little but a floor"""
FINER_MEMORY = 1 / 3
"""of what the coarse cells leave, the share of the finer ones; the student's is the rest"""


@torch.no_grad()
def fit_blend(model: ReverseDistillation, normal: FeatureSource, marred: FeatureSource) -> None:
    """Weigh the kinds of distance that the settings ask for, by the early-stop normals and their marred copies.

    A normal image's map then peaks near 1, or below.
    """
    model.eval()
    if model.config.magnitude:
        _fit_magnitude(model, normal, marred)
    if model.memories:
        _fit_memories(model, normal)


def _fit_magnitude(model: ReverseDistillation, normal: FeatureSource, marred: FeatureSource) -> None:
    """Magnitude beside direction (see `rd_core.blend`), half way between an even share and the one that best tells
    marred images from normal ones: made-up defects are a sample, and the student was trained on their like. Without
    marred copies the share is even.
    """
    parts = [_part_maps(model, source) for source in (normal, marred) if len(source)]
    peaks = parts[0].amax(dim=(3, 4)).mean(dim=0)  # (kinds, stages)
    stages = peaks.shape[1]
    weighed = [(maps / (stages * peaks[:, :, None, None])).sum(dim=2) for maps in parts]
    share = (best_share(*weighed) + EVEN_SHARE) / 2 if len(weighed) == 2 else EVEN_SHARE
    model.blend.set(share, peaks[0].float(), peaks[1].float())


class _Levels(NamedTuple):
    """Of one map, means over normal images."""

    floor: float
    peak: float

    @property
    def contrast(self) -> float:
        return max(self.peak - self.floor, LEAST_CONTRAST * self.peak)


def _fit_memories(model: ReverseDistillation, normal: FeatureSource) -> None:
    """The memories beside what the student gives, each map measured by how far its peaks stand above its floor.

    The coarse cells' share is what the floor of the student's map is of its peak: near a half on textures, where a
    faint defect drowns in what every place has, and near 0 where the map is quiet but for a few places, and coarse
    cells can only blur it.
    """
    levels, *of_memories = _levels(model, normal)
    coarse = levels.floor / levels.peak
    is_coarse = [memory.side == COARSEST_STRIDE for memory in model.memories]
    finer = FINER_MEMORY if not all(is_coarse) else 0.0
    rest = 1 - coarse if any(is_coarse) else 1.0
    weights = [rest * (1 - finer) / levels.contrast]
    for wide, found in zip(is_coarse, of_memories, strict=True):
        weights.append((coarse if wide else rest * finer) / found.contrast)
    # Peaks of several maps seldom meet, so a normal image's map then peaks near 1, or below.
    peak = sum(weight * found.peak for weight, found in zip(weights, (levels, *of_memories), strict=True))
    model.blend.scale(weights[0] / peak)
    for memory, weight in zip(model.memories, weights[1:], strict=True):
        memory.weight.fill_(weight / peak)


def _part_maps(model: ReverseDistillation, source: FeatureSource) -> Tensor:
    """Smoothed maps of direction and magnitude by stage, (N, 2, stages, H/4, W/4): every fourth pixel will do."""
    assembly, stages = model.assembly, len(model.config.map_stages)
    found = []
    for features in _in_turn(model, source):
        raw = model.standardisation(features)
        pairs = list(zip(model.counting(raw), model.counting(model(raw)), strict=True))
        kinds = [[distance(t, s) for t, s in pairs] for distance in (cosine_distance, squared_distance)]
        maps = [[assembly.of_stage(k, kind[k])[:, 2::4, 2::4] for k in range(stages)] for kind in kinds]
        found.append(torch.stack([torch.stack(of_kind, dim=1) for of_kind in maps], dim=1))
    return torch.cat(found)


def _levels(model: ReverseDistillation, source: FeatureSource) -> list[_Levels]:
    """Of the map that the student gives, then of each memory's, unweighed."""
    assembly, stages = model.assembly, len(model.config.map_stages)
    rows = []
    for features in _in_turn(model, source):
        targets = model.standardisation(features)
        distances = model.blend(model.counting(targets), model.counting(model(targets)))
        maps = [torch.stack([assembly.of_stage(k, distances[k]) for k in range(stages)]).sum(dim=0)]
        for number, memory in enumerate(model.memories):
            maps.append(assembly.of_stage(stages + number, memory.unweighed(features)))
        rows.append(torch.stack([_floor_and_peak(one) for one in maps], dim=1))
    return [_Levels(*found) for found in torch.cat(rows).mean(dim=0).clamp_min(SMALLEST_LEVEL).tolist()]


def _floor_and_peak(maps: Tensor) -> Tensor:
    """(B, H, W) -> (B, 2)"""
    low = maps[:, 2::4, 2::4].flatten(1).quantile(FLOOR, dim=1)  # which takes no more than 16 million values
    return torch.stack([low, maps.amax(dim=(1, 2))], dim=1)


def _in_turn(model: ReverseDistillation, source: FeatureSource) -> Iterator[tuple[Tensor, ...]]:
    """The teacher's raw features of all images, a micro-batch at a time."""
    for start in range(0, len(source), MICRO_BATCH):
        indices = range(start, min(start + MICRO_BATCH, len(source)))
        yield tuple(f.to(model.device) for f in source.batch(indices))
