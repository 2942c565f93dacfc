"""The shares of direction, magnitude and coarse distance, by early-stop normals and made-up defects."""

from collections.abc import Iterator

import torch
from torch import Tensor

from rd_core.blend import best_share, squared_distance
from rd_core.loss import cosine_distance
from rd_core.model import MICRO_BATCH, ReverseDistillation
from rd_core.teacher_features import FeatureSource

EVEN_SHARE = 0.5
"""of magnitude beside direction where nothing is known, and always of the coarse distance beside what the student
gives: made-up defects are mostly small, and would leave it none"""


@torch.no_grad()
def fit_blend(model: ReverseDistillation, normal: FeatureSource, marred: FeatureSource) -> None:
    """Weigh the kinds of distance by the early-stop normals and their marred copies (see `rd_core.blend`).

    Magnitude's share is half way between the one that tells those apart best and an even one: made-up defects are a
    sample, and the student was trained on their like. Without marred copies the share is even. A normal image's map
    then peaks near 1, or below, as do both of its halves where it has a coarse one.
    """
    model.eval()
    if model.config.magnitude:
        parts = [_part_maps(model, source) for source in (normal, marred) if len(source)]
        peaks = parts[0].amax(dim=(3, 4)).mean(dim=0)  # (kinds, stages)
        stages = peaks.shape[1]
        weighed = [(maps / (stages * peaks[:, :, None, None])).sum(dim=2) for maps in parts]
        share = (best_share(*weighed) + EVEN_SHARE) / 2 if len(weighed) == 2 else EVEN_SHARE
        model.blend.set(share, peaks[0].float(), peaks[1].float())
    if model.coarse is not None:
        fine, coarse = _half_peaks(model, normal)
        model.blend.scale((1 - EVEN_SHARE) / fine)
        model.coarse.weight.fill_(EVEN_SHARE / coarse)


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


def _half_peaks(model: ReverseDistillation, source: FeatureSource) -> tuple[float, float]:
    """Mean peaks of the map by what the student gives, and by the coarse distance, as weighed now and unweighed."""
    assert model.coarse is not None
    stages = len(model.config.map_stages)
    peaks = []
    for features in _in_turn(model, source):
        targets = model.standardisation(features)
        fine = model.blend(model.counting(targets), model.counting(model(targets)))
        halves = (
            torch.stack([model.assembly.of_stage(k, fine[k]) for k in range(stages)]).sum(dim=0),
            model.assembly.of_stage(stages, model.coarse.unweighed(features)),
        )
        peaks.append(torch.stack([half.amax(dim=(1, 2)) for half in halves], dim=1))
    fine_peak, coarse_peak = torch.cat(peaks).mean(dim=0).tolist()
    return fine_peak, coarse_peak


def _in_turn(model: ReverseDistillation, source: FeatureSource) -> Iterator[tuple[Tensor, ...]]:
    """The teacher's raw features of all images, a micro-batch at a time."""
    for start in range(0, len(source), MICRO_BATCH):
        indices = range(start, min(start + MICRO_BATCH, len(source)))
        yield tuple(f.to(model.device) for f in source.batch(indices))
