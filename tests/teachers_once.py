"""Teachers that a process of the tests builds once, as hundreds of fits begin with the same."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rd_core.features.backbone import Pretrained, build_teacher

_BUILDERS = ("feature_detector", "fyd.detector", "mkd.detector", "uninformed_students.detector")
"""modules of rd_core.detectors that build teachers"""
_MOST = 8
_built: dict[tuple[str, bool, bytes], tuple[Pretrained, Tensor]] = {}
"""a teacher and torch's random state after it was built, by what it was built from and the state before"""


@contextmanager
def teachers_built_once() -> Iterator[None]:
    """Detectors get their teachers from `build_once`."""
    with pytest.MonkeyPatch.context() as patch:
        for builder in _BUILDERS:
            patch.setattr(f"rd_core.detectors.{builder}.build_teacher", build_once)
        yield


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
