"""Fit the shares of direction, magnitude and cells in the map to early-stop normals and synthetic defects."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from rd_core.detectors.reverse_distillation.blend import best_share, squared_distance
from rd_core.detectors.reverse_distillation.cell_discriminator import FINE
from rd_core.detectors.reverse_distillation.loss import cosine_distance
from rd_core.detectors.reverse_distillation.model import TeacherAndStudent
from rd_core.features.cache import FeatureSource, in_order

EVEN_SHARE = 0.5
"""of magnitude"""
FLOOR = 0.1
"""quantile of a map, or of cells, that stands for its level on normal images"""
SMALLEST_PEAK = 1e-3
"""of the student's map, for normals without any distance"""
LEAST_OF_STUDENT = 0.1
"""least share of the student, relative to the finest cells: it alone detects defects smaller than a cell"""
LEAST_ODDS = 1.0
"""least peak, in log odds, that normalises a discriminator's map: a smaller one on normals is noise"""


@torch.no_grad()
def fit_blend(model: TeacherAndStudent, normal: FeatureSource, defective: FeatureSource) -> None:
    """Weight the distances that the settings ask for, by early-stop normals and copies with synthetic defects.

    A normal image's map then peaks near 1, or below.
    """
    model.eval()
    if model.settings.magnitude:
        _fit_magnitude(model, normal, defective)
    if model.discriminators:
        _fit_discriminators(model, normal)


def _fit_magnitude(model: TeacherAndStudent, normal: FeatureSource, defective: FeatureSource) -> None:
    """Set magnitude's share half way between an even one and `best_share`, which synthetic defects like those of
    training determine. Without defective copies the share is even.
    """
    parts = [_part_maps(model, source) for source in (normal, defective) if len(source)]
    peaks = parts[0].amax(dim=(3, 4)).mean(dim=0)  # (kinds, stages)
    stages = peaks.shape[1]
    weighed = [(maps / (stages * peaks[:, :, None, None])).sum(dim=2) for maps in parts]
    share = (best_share(*weighed) + EVEN_SHARE) / 2 if len(weighed) == 2 else EVEN_SHARE
    model.blend.set(share, peaks[0].float(), peaks[1].float())


def _fit_discriminators(model: TeacherAndStudent, normal: FeatureSource) -> None:
    """Divide each map by its mean peak on normals; set a discriminator's zero to the level that most normal cells
    exceed.

    With r the ratio of the student map's floor to its peak (near 1/2 on textures, where the floor hides faint
    defects), cells of 16 pixels have share 1, cells of twice the side r times as much, and the student 1 - 2 r
    (docs/decisions/0034).
    """
    logits = [
        [network.logits(features).cpu() for network in model.discriminators]
        for features in _feature_batches(model, normal)
    ]
    for discriminator, own in zip(model.discriminators, zip(*logits, strict=True), strict=True):
        discriminator.level.fill_(float(np.quantile(torch.cat(own).numpy(), FLOOR)))
    floor, (peak, *of_cells) = _levels(model, normal)
    floor_ratio = floor / peak
    shares = [floor_ratio ** math.log2(discriminator.side / FINE) for discriminator in model.discriminators]
    of_student = share_of_student(floor_ratio)
    # Peaks of several maps seldom meet, so a normal image's map then peaks near 1, or below.
    whole = of_student + sum(shares)
    model.blend.scale(of_student / whole / peak)
    for discriminator, share, its_peak in zip(model.discriminators, shares, of_cells, strict=True):
        discriminator.weight.fill_(share / whole / max(its_peak, LEAST_ODDS))


def share_of_student(floor_ratio: float) -> float:
    """The student's share of the map, relative to the finest cells, by the ratio of its floor to its peak, in [0,
    1]."""
    return max(LEAST_OF_STUDENT, 1 - 2 * floor_ratio)


def _part_maps(model: TeacherAndStudent, source: FeatureSource) -> Tensor:
    """Smoothed maps of direction and magnitude by stage, (N, 2, stages, H/4, W/4), at every fourth pixel."""
    assembly, stages = model.assembly, len(model.settings.map_stages)
    by_batch = []
    for features in _feature_batches(model, source):
        raw = model.standardisation(features)
        pairs = list(zip(model.map_features(raw), model.map_features(model(raw)), strict=True))
        kinds = [[distance(t, s) for t, s in pairs] for distance in (cosine_distance, squared_distance)]
        maps = [[_thinned(model, assembly.of_stage(k, kind[k])) for k in range(stages)] for kind in kinds]
        by_batch.append(torch.stack([torch.stack(of_kind, dim=1) for of_kind in maps], dim=1))
    return torch.cat(by_batch)


def _levels(model: TeacherAndStudent, source: FeatureSource) -> tuple[float, list[float]]:
    """Means over images: the floor of the student's map, and the peaks of it and of each discriminator's,
    unweighted."""
    assembly, stages = model.assembly, len(model.settings.map_stages)
    floors, peaks = [], []
    for features in _feature_batches(model, source):
        targets = model.standardisation(features)
        distances = model.blend(model.map_features(targets), model.map_features(model(targets)))
        maps = [torch.stack([assembly.of_stage(k, distances[k]) for k in range(stages)]).sum(dim=0)]
        for number, discriminator in enumerate(model.discriminators):
            maps.append(assembly.of_stage(stages + number, discriminator.unweighed(features)))
        floors.append(_thinned(model, maps[0]).flatten(1).quantile(FLOOR, dim=1))  # of at most 16 million values
        peaks.append(torch.stack(maps, dim=1).amax(dim=(2, 3)))
    means = torch.cat(peaks).mean(dim=0)
    means[0].clamp_min_(SMALLEST_PEAK)
    return float(torch.cat(floors).mean()), means.tolist()


def _thinned(model: TeacherAndStudent, maps: Tensor) -> Tensor:
    """Every fourth pixel of the image, in the middle of its four: (B, H / s, W / s) -> (B, H / 4, W / 4)."""
    step = 4 // model.settings.map_stride
    return maps[:, step // 2 :: step, step // 2 :: step]


def _feature_batches(model: TeacherAndStudent, source: FeatureSource) -> Iterator[tuple[Tensor, ...]]:
    """The teacher's raw features of all images, some at a time."""
    for _, features in in_order(source):
        yield tuple(f.to(model.device) for f in features)
