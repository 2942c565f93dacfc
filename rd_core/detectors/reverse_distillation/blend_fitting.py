"""The shares of direction, magnitude and cells in the map, by early-stop normals and synthetic defects."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from rd_core.detectors.reverse_distillation.blend import best_share, squared_distance
from rd_core.detectors.reverse_distillation.cell_discriminator import FINE
from rd_core.detectors.reverse_distillation.loss import cosine_distance
from rd_core.detectors.reverse_distillation.model import TeacherAndStudent
from rd_core.features.cache import AT_ONCE, FeatureSource

EVEN_SHARE = 0.5
"""of magnitude, where nothing is known"""
FLOOR = 0.1
"""the quantile of a map, or of cells, below which nearly nothing lies: what every place of a normal image has"""
SMALLEST_PEAK = 1e-3
"""of the student's map: where normals do not differ there is none"""
LEAST_OF_STUDENT = 0.1
"""share beside 1 for the finest cells: however unquiet, it alone sees what is smaller than a cell"""
LEAST_ODDS = 1.0
"""log odds that normalise a discriminator's map at least: a smaller peak on normals is noise"""


@torch.no_grad()
def fit_blend(model: TeacherAndStudent, normal: FeatureSource, defective: FeatureSource) -> None:
    """Weigh the kinds of distance that the settings ask for, by early-stop normals and copies with synthetic defects.

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
    """Each map by its usual peak on normals, and the student's and that of the finest cells alike. A discriminator's
    zero is what nearly all cells of normals pass.

    Coarse cells count the more the less quiet the student's map is: the ratio of its floor to its peak, near a half
    on textures, where a faint defect drowns in what every place has, and near 0 on parts. Cells of twice the side
    count by that ratio less. The student gives way by twice the ratio: the floor hides what is faint, and is itself
    uninformative (docs/decisions/0034).
    """
    logits = [[one.logits(features).cpu() for one in model.discriminators] for features in _in_turn(model, normal)]
    for discriminator, own in zip(model.discriminators, zip(*logits, strict=True), strict=True):
        discriminator.level.fill_(float(np.quantile(torch.cat(own).numpy(), FLOOR)))
    floor, (peak, *of_cells) = _levels(model, normal)
    unrest = floor / peak
    shares = [unrest ** math.log2(discriminator.side / FINE) for discriminator in model.discriminators]
    of_student = share_of_student(unrest)
    # Peaks of several maps seldom meet, so a normal image's map then peaks near 1, or below.
    whole = of_student + sum(shares)
    model.blend.scale(of_student / whole / peak)
    for discriminator, share, its_peak in zip(model.discriminators, shares, of_cells, strict=True):
        discriminator.weight.fill_(share / whole / max(its_peak, LEAST_ODDS))


def share_of_student(unrest: float) -> float:
    """Of the map, where the finest cells have 1: by the ratio of the student's floor to its peak, in [0, 1]."""
    return max(LEAST_OF_STUDENT, 1 - 2 * unrest)


def _part_maps(model: TeacherAndStudent, source: FeatureSource) -> Tensor:
    """Smoothed maps of direction and magnitude by stage, (N, 2, stages, H/4, W/4): every fourth pixel will do."""
    assembly, stages = model.assembly, len(model.settings.map_stages)
    found = []
    for features in _in_turn(model, source):
        raw = model.standardisation(features)
        pairs = list(zip(model.counting(raw), model.counting(model(raw)), strict=True))
        kinds = [[distance(t, s) for t, s in pairs] for distance in (cosine_distance, squared_distance)]
        maps = [[assembly.of_stage(k, kind[k])[:, 2::4, 2::4] for k in range(stages)] for kind in kinds]
        found.append(torch.stack([torch.stack(of_kind, dim=1) for of_kind in maps], dim=1))
    return torch.cat(found)


def _levels(model: TeacherAndStudent, source: FeatureSource) -> tuple[float, list[float]]:
    """Means over the images: the floor of the map that the student gives, and the peaks of that and of each
    discriminator's, unweighed."""
    assembly, stages = model.assembly, len(model.settings.map_stages)
    floors, peaks = [], []
    for features in _in_turn(model, source):
        targets = model.standardisation(features)
        distances = model.blend(model.counting(targets), model.counting(model(targets)))
        maps = [torch.stack([assembly.of_stage(k, distances[k]) for k in range(stages)]).sum(dim=0)]
        for number, discriminator in enumerate(model.discriminators):
            maps.append(assembly.of_stage(stages + number, discriminator.unweighed(features)))
        floors.append(maps[0][:, 2::4, 2::4].flatten(1).quantile(FLOOR, dim=1))  # of at most 16 million values
        peaks.append(torch.stack(maps, dim=1).amax(dim=(2, 3)))
    found = torch.cat(peaks).mean(dim=0)
    found[0].clamp_min_(SMALLEST_PEAK)
    return float(torch.cat(floors).mean()), found.tolist()


def _in_turn(model: TeacherAndStudent, source: FeatureSource) -> Iterator[tuple[Tensor, ...]]:
    """The teacher's raw features of all images, some at a time."""
    for start in range(0, len(source), AT_ONCE):
        indices = range(start, min(start + AT_ONCE, len(source)))
        yield tuple(f.to(model.device) for f in source.batch(indices))
