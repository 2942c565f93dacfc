"""Fit the shares of direction, magnitude and cells in the map to early-stop normals and synthetic defects."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from rd_core.detectors.feature_detector import Features
from rd_core.detectors.reverse_distillation.blend import best_share, squared_distance
from rd_core.detectors.reverse_distillation.cell_discriminator import FINE, CellDiscriminator
from rd_core.detectors.reverse_distillation.loss import cosine_distance
from rd_core.detectors.reverse_distillation.model import TeacherAndStudent
from rd_core.features.cache import FeatureSource, in_order
from rd_core.features.cells import counted_cells
from rd_core.pictures.counted_pixels import CountedPixels, zeroed

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
        [_counted_logits(network, features).cpu() for network in model.discriminators]
        for features in _feature_batches(model, normal)
    ]
    for discriminator, own in zip(model.discriminators, zip(*logits, strict=True), strict=True):
        of_cells = torch.cat(own)
        discriminator.level.fill_(float(np.quantile(of_cells.numpy(), FLOOR)) if len(of_cells) else 0)
    floor, (peak, *peaks_of_cells) = _levels(model, normal)
    floor_ratio = floor / peak
    shares = [floor_ratio ** math.log2(discriminator.side / FINE) for discriminator in model.discriminators]
    of_student = share_of_student(floor_ratio)
    # Peaks of several maps seldom meet, so a normal image's map then peaks near 1, or below.
    whole = of_student + sum(shares)
    model.blend.scale(of_student / whole / peak)
    for discriminator, share, its_peak in zip(model.discriminators, shares, peaks_of_cells, strict=True):
        discriminator.weight.fill_(share / whole / max(its_peak, LEAST_ODDS))


def _counted_logits(network: CellDiscriminator, features: Features) -> Tensor:
    """Of all cells that count, (N,)."""
    return counted_cells(network.logits(features.raw, features.counted)[..., None], network.side, features.counted)[
        :, 0
    ]


def share_of_student(floor_ratio: float) -> float:
    """The student's share of the map, relative to the finest cells, by the ratio of its floor to its peak, in [0,
    1]."""
    return max(LEAST_OF_STUDENT, 1 - 2 * floor_ratio)


def _part_maps(model: TeacherAndStudent, source: FeatureSource) -> Tensor:
    """Smoothed maps of direction and magnitude by stage, (N, 2, stages, H/4, W/4), at every fourth pixel."""
    stages = len(model.settings.map_stages)
    by_batch = []
    for features in _feature_batches(model, source):
        targets = features.standardised
        pairs = list(zip(model.map_features(targets), model.map_features(model(targets)), strict=True))
        kinds = [[distance(t, s) for t, s in pairs] for distance in (cosine_distance, squared_distance)]
        maps = [[_thinned(model, _stage_map(model, k, kind[k], features)) for k in range(stages)] for kind in kinds]
        by_batch.append(torch.stack([torch.stack(of_kind, dim=1) for of_kind in maps], dim=1))
    return torch.cat(by_batch)


def _levels(model: TeacherAndStudent, source: FeatureSource) -> tuple[float, list[float]]:
    """Means over images: the floor of the student's map, and the peaks of it and of each discriminator's,
    unweighted."""
    stages = len(model.settings.map_stages)
    floors, peaks = [], []
    for features in _feature_batches(model, source):
        targets = features.standardised
        distances = model.blend(model.map_features(targets), model.map_features(model(targets)))
        maps = [torch.stack([_stage_map(model, k, distances[k], features) for k in range(stages)]).sum(dim=0)]
        for number, discriminator in enumerate(model.discriminators):
            of_cells = discriminator.unweighed(features.raw, features.counted)
            maps.append(_stage_map(model, stages + number, of_cells, features))
        floors.append(_floors(model, maps[0], features.counted))
        peaks.append(torch.stack(maps, dim=1).amax(dim=(2, 3)))
    means = torch.cat(peaks).mean(dim=0)
    means[0].clamp_min_(SMALLEST_PEAK)
    return float(torch.cat(floors).mean()), means.tolist()


def _thinned(model: TeacherAndStudent, maps: Tensor) -> Tensor:
    """Every fourth pixel of the image, in the middle of its four: (B, H / s, W / s) -> (B, H / 4, W / 4)."""
    step = 4 // model.settings.map_stride
    return maps[:, step // 2 :: step, step // 2 :: step]


def _stage_map(model: TeacherAndStudent, index: int, distances: Tensor, features: Features) -> Tensor:
    """The summand (B, H / s, W / s) of one map of `TeacherAndStudent.distances`, zero at ignored pixels."""
    kept = zeroed(distances, features.counted, model.strides[index])
    return zeroed(model.assembly.of_stage(index, kept), features.counted, model.settings.map_stride)


def _floors(model: TeacherAndStudent, maps: Tensor, counted: CountedPixels | None) -> Tensor:
    """The FLOOR-quantile (B,) of each of the maps (B, H / s, W / s) over its counted pixels."""
    some = _thinned(model, maps).flatten(1)  # at most 16 million values, which is the most that quantile takes
    if counted is None:
        return some.quantile(FLOOR, dim=1)
    ignored = ~_thinned(model, counted.on_grid(model.settings.map_stride)).flatten(1)
    return some.masked_fill(ignored, torch.nan).nanquantile(FLOOR, dim=1).nan_to_num(0)


def _feature_batches(model: TeacherAndStudent, source: FeatureSource) -> Iterator[Features]:
    """The teacher's features of all images, some at a time."""
    for indices, raw in in_order(source):
        yield model.features(raw, source.counted(indices))
