"""The registry of methods, by name; their settings are known without torch."""

import difflib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rd_core.detectors.fyd.settings import FYDSettings
from rd_core.detectors.mkd.settings import MKDSettings
from rd_core.detectors.padim.settings import PaDiMSettings
from rd_core.detectors.patchcore.settings import PatchCoreSettings
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.settings import DetectorSettings
from rd_core.detectors.spade.settings import SpadeSettings
from rd_core.detectors.uninformed_students.settings import UninformedStudentsSettings
from rd_core.errors import ConfigError

if TYPE_CHECKING:
    from rd_core.detectors.detector import Detector


class Method(NamedTuple):
    """A method's settings and detector."""

    settings: type[DetectorSettings]
    detector: str
    """module:class, imported on demand because it needs torch"""


_DETECTORS = "rd_core.detectors."
METHODS: dict[str, Method] = {
    entry.settings.method: entry
    for entry in (
        Method(ReverseDistillationSettings, "reverse_distillation.detector:ReverseDistillation"),
        Method(PaDiMSettings, "padim.detector:PaDiM"),
        Method(PatchCoreSettings, "patchcore.detector:PatchCore"),
        Method(SpadeSettings, "spade.detector:Spade"),
        Method(FYDSettings, "fyd.detector:FYD"),
        Method(MKDSettings, "mkd.detector:MKD"),
        Method(UninformedStudentsSettings, "uninformed_students.detector:UninformedStudents"),
    )
}
"""by name"""


def settings_class(name: str) -> type[DetectorSettings]:
    """The settings class of a method. Raises ConfigError, naming the nearest known method, for an unknown one."""
    return _method(name).settings


def settings_of(name: str, values: Mapping[str, Any]) -> DetectorSettings:
    """The settings of a method from JSON values. Raises ConfigError (see `rd_core.settings.Record.from_dict`)."""
    return settings_class(name).from_dict(values)


def method(name: str) -> "type[Detector[Any]]":
    """The detector class of a method. Raises ConfigError for an unknown one."""
    module, _, class_name = _method(name).detector.partition(":")
    detector: type[Detector[Any]] = getattr(importlib.import_module(_DETECTORS + module), class_name)
    return detector


def build(
    name: str, settings: DetectorSettings, *, teacher_weights: Path | None = None, pretrained: bool = True
) -> "Detector[Any]":
    """Build an unfitted detector (see `Detector.build`). Raises ConfigError for settings of another method."""
    if settings.method != name:
        raise ConfigError(
            f"the settings belong to {settings.method}, but the method is {name}, so nothing was built. Give "
            f"settings of {name}."
        )
    return method(name).build(settings, teacher_weights=teacher_weights, pretrained=pretrained)


def _method(name: str) -> Method:
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"there is no method {name!r}, so nothing was built. {hint}Known: {', '.join(METHODS)}.")
    return METHODS[name]
