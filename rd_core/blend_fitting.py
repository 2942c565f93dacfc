"""The shares of direction, magnitude and coarse distance, by early-stop normals and made-up defects."""

from collections.abc import Iterator

import torch
from torch import Tensor

from rd_core.blend import best_share, squared_distance
from rd_core.coarse_distance import CoarseDistance
from rd_core.loss import cosine_distance
from rd_core.model import MICRO_BATCH, ReverseDistillation
from rd_core.teacher_features import FeatureSource

EVEN_SHARE = 0.5
"""of magnitude, where nothing is known"""
FLOOR = 0.1
"""the quantile of a map below which nearly nothing lies: what every place of a normal image has"""
SMALLEST_LEVEL = 1e-3
"""of a map: where normals do not differ there is none"""


@torch.no_grad()
def fit_blend(model: ReverseDistillation, normal: FeatureSource, marred: FeatureSource) -> None:
    """Weigh the kinds of distance that the settings ask for, by the early-stop normals and their marred copies.

    A normal image's map then peaks near 1, or below.
    """
    model.eval()
    if model.config.magnitude:
        _fit_magnitude(model, normal, marred)
    if model.coarse is not None:
        _fit_coarse(model, model.coarse, normal)


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


def _fit_coarse(model: ReverseDistillation, coarse: CoarseDistance, normal: FeatureSource) -> None:
    """The coarse distance beside what the student gives, as much as the floor of the student's map is of its peak.

    That is near a half on textures, where a faint defect drowns in what every place has, and near 0 where the map is
    quiet but for a few places, and cells can only blur it.
    """
    floor, peak, coarse_peak = _levels(model, coarse, normal)
    share = floor / peak
    model.blend.scale((1 - share) / peak)
    coarse.weight.fill_(share / coarse_peak)


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


def _levels(model: ReverseDistillation, coarse: CoarseDistance, source: FeatureSource) -> tuple[float, float, float]:
    """Means over images: floor and peak of the map that the student gives, peak of the unweighed coarse distance."""
    stages = len(model.config.map_stages)
    levels = []
    for features in _in_turn(model, source):
        targets = model.standardisation(features)
        distances = model.blend(model.counting(targets), model.counting(model(targets)))
        fine = torch.stack([model.assembly.of_stage(k, distances[k]) for k in range(stages)]).sum(dim=0)
        wide = model.assembly.of_stage(stages, coarse.unweighed(features))
        low = fine[:, 2::4, 2::4].flatten(1).quantile(FLOOR, dim=1)  # which takes no more than 16 million values
        levels.append(torch.stack([low, fine.amax(dim=(1, 2)), wide.amax(dim=(1, 2))], dim=1))
    floor, peak, coarse_peak = torch.cat(levels).mean(dim=0).clamp_min(SMALLEST_LEVEL).tolist()
    return floor, peak, coarse_peak


def _in_turn(model: ReverseDistillation, source: FeatureSource) -> Iterator[tuple[Tensor, ...]]:
    """The teacher's raw features of all images, a micro-batch at a time."""
    for start in range(0, len(source), MICRO_BATCH):
        indices = range(start, min(start + MICRO_BATCH, len(source)))
        yield tuple(f.to(model.device) for f in source.batch(indices))
