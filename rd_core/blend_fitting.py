"""The blend of direction and magnitude, fitted on early-stop normals and made-up defects."""

import torch
from torch import Tensor

from rd_core.blend import best_share, squared_distance
from rd_core.loss import cosine_distance
from rd_core.model import MICRO_BATCH, ReverseDistillation
from rd_core.teacher_features import FeatureSource

EVEN_SHARE = 0.5
"""of magnitude, where nothing is known"""


@torch.no_grad()
def fit_blend(model: ReverseDistillation, normal: FeatureSource, marred: FeatureSource) -> None:
    """Weigh direction and magnitude by the early-stop normals and their marred copies (see `rd_core.blend`).

    Half way between the share that tells those apart best and an even one: made-up defects are a sample, and the
    student was trained on their like. Without marred copies the share is even.
    """
    model.eval()
    parts = [_part_maps(model, source) for source in (normal, marred) if len(source)]
    peaks = parts[0].amax(dim=(3, 4)).mean(dim=0)  # (kinds, stages)
    stages = peaks.shape[1]
    weighed = [(maps / (stages * peaks[:, :, None, None])).sum(dim=2) for maps in parts]
    share = (best_share(*weighed) + EVEN_SHARE) / 2 if len(weighed) == 2 else EVEN_SHARE
    model.blend.set(share, peaks[0].float(), peaks[1].float())


def _part_maps(model: ReverseDistillation, source: FeatureSource) -> Tensor:
    """Smoothed maps of direction and magnitude by stage, (N, 2, stages, H/4, W/4): every fourth pixel will do."""
    assembly, stages = model.assembly, len(model.config.map_stages)
    found = []
    for start in range(0, len(source), MICRO_BATCH):
        indices = range(start, min(start + MICRO_BATCH, len(source)))
        raw = model.standardisation(tuple(f.to(model.device) for f in source.batch(indices)))
        pairs = list(zip(model.counting(raw), model.counting(model(raw)), strict=True))
        kinds = [[distance(t, s) for t, s in pairs] for distance in (cosine_distance, squared_distance)]
        maps = [[assembly.of_stage(k, kind[k])[:, 2::4, 2::4] for k in range(stages)] for kind in kinds]
        found.append(torch.stack([torch.stack(of_kind, dim=1) for of_kind in maps], dim=1))
    return torch.cat(found)
