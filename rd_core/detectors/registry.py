"""The methods that there are. Only here they are named; their settings are known without torch."""

import difflib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rd_core.detectors.padim.settings import PaDiMSettings
from rd_core.detectors.patchcore.settings import PatchCoreSettings
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.settings import DetectorSettings
from rd_core.detectors.spade.settings import SpadeSettings
from rd_core.errors import ConfigError

if TYPE_CHECKING:
    from rd_core.detectors.detector import Detector


class Method(NamedTuple):
    """Where a method lies."""

    settings: type[DetectorSettings]
    detector: str
    """module:class, imported when it is wanted: it brings torch"""


_DETECTORS = "rd_core.detectors."
METHODS: dict[str, Method] = {
    one.settings.method: one
    for one in (
        Method(ReverseDistillationSettings, "reverse_distillation.detector:ReverseDistillation"),
        Method(SpadeSettings, "spade.detector:Spade"),
        Method(PaDiMSettings, "padim.detector:PaDiM"),
        Method(PatchCoreSettings, "patchcore.detector:PatchCore"),
    )
}
"""by name"""


def settings_class(name: str) -> type[DetectorSettings]:
    """The settings of the method of that name. Raises ConfigError, with the nearest known one, for none."""
    return _method(name).settings


def settings_of(name: str, values: Mapping[str, Any]) -> DetectorSettings:
    """The settings of that method from JSON values. Raises ConfigError (see `rd_core.settings.Record.from_dict`)."""
    return settings_class(name).from_dict(values)


def method(name: str) -> "type[Detector[Any]]":
    """The class of the method of that name. Raises ConfigError for none."""
    module, _, found = _method(name).detector.partition(":")
    detector: type[Detector[Any]] = getattr(importlib.import_module(_DETECTORS + module), found)
    return detector


def build(
    name: str, settings: DetectorSettings, *, teacher_weights: Path | None = None, pretrained: bool = True
) -> "Detector[Any]":
    """A detector that was not fitted (see `Detector.build`). Raises ConfigError for settings of another method."""
    if settings.method != name:
        raise ConfigError(
            f"the settings are of {settings.method}, and the method is to be {name}, so nothing was built. Give "
            f"settings of {name}."
        )
    return method(name).build(settings, teacher_weights=teacher_weights, pretrained=pretrained)


def _method(name: str) -> Method:
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"there is no method {name!r}, so nothing was built. {hint}Known: {', '.join(METHODS)}.")
    return METHODS[name]
