"""Teachers that a process of the tests builds once, as hundreds of fits begin with the same."""

import copy
from pathlib import Path

import torch
from torch import Tensor

from rd_core.features.backbone import Pretrained, build_teacher

_MOST = 8
_built: dict[tuple[str, bool, bytes], tuple[Pretrained, Tensor]] = {}
"""a teacher and torch's random state after it was built, by what it was built from and the state before"""


def build_once(name: str, *, weights: Path | None = None, pretrained: bool = True) -> Pretrained:
    """A copy of what `build_teacher` returns; the random state is left as that leaves it."""
    if weights is not None or torch.get_default_device().type != "cpu":
        return build_teacher(name, weights=weights, pretrained=pretrained)
    key = (name, pretrained, torch.get_rng_state().numpy().tobytes())
    if key not in _built:
        if len(_built) == _MOST:
            _built.pop(next(iter(_built)))
        built = build_teacher(name, pretrained=pretrained)
        _built[key] = built, torch.get_rng_state()
    teacher, after = _built[key]
    torch.set_rng_state(after)
    return copy.deepcopy(teacher)
