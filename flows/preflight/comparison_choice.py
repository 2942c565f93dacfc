"""The contenders of a comparison, known before anything is started."""

from collections.abc import Sequence
from dataclasses import replace

from flows.category_settings import CategorySettings
from flows.errors import sentence
from flows.settings import Settings, SettingsError, nearest
from rd_core.detectors.registry import METHODS, method, settings_class
from rd_core.detectors.settings import DetectorSettings
from rd_core.engines.choice import OPENVINO
from rd_core.errors import ConfigError
from storage.models.card import CROSS

MOST_SEEDS = 10


def contenders_of(
    settings: Settings, category: str, methods: Sequence[str] | None, seeds: int
) -> tuple[tuple[DetectorSettings, ...], dict[str, str]]:
    """(a method with a seed each, methods that the category's settings make impossible: name -> why).

    methods: names; None: all. seeds: trainings of each, from the settings' seed on. SettingsError for an unknown
    name, and where fewer than two methods are left.
    """
    names = list(dict.fromkeys(methods or METHODS))
    for name in names:
        if name not in METHODS:
            raise SettingsError(
                f"There is no method {name!r}{nearest(name, METHODS)} Nothing was started. Known: "
                f"{', '.join(METHODS)}; without --method all are compared."
            )
    if not 1 <= seeds <= MOST_SEEDS:
        raise SettingsError(
            f"seeds = {seeds} is not in [1, {MOST_SEEDS}], so nothing was started. Give 1 to {MOST_SEEDS} trainings "
            "of each method; 3 are enough where methods are close."
        )
    chosen, possible, left_out = settings.category(category), [], {}
    for name in names:
        if why := why_impossible(chosen, category, name):
            left_out[name] = why
            continue
        try:
            possible.append(chosen.of_method(name))
        except ConfigError as e:
            left_out[name] = str(e)
    if len(possible) < 2:
        alone = f"{possible[0].method} alone" if possible else "No method"
        raise SettingsError(
            f"{alone} can be compared, and a comparison takes two methods or more. Nothing was started. "
            + sentence("; ".join(left_out.values()) or "Name another with --method, or none to compare all")
        )
    contenders = [replace(own, seed=own.seed + number) for own in possible for number in range(seeds)]
    return tuple(contenders), left_out


def why_impossible(chosen: CategorySettings, category: str, name: str) -> str | None:
    """Why `train` refuses the method in this category; None: it does not."""
    kind = settings_class(name)
    if chosen.tile is not None and kind.knows_places:
        return (
            f"{name} keeps what is normal at each place of an image, and the tiles of {category!r} have no places of "
            "their own"
        )
    if chosen.calibration == CROSS and not kind.cross_fits:
        return f"{name} does not cross-fit, which calibration = {CROSS!r} of {category!r} asks for"
    if chosen.engine == OPENVINO and not method(name).exportable:  # imports torch, which the other cases do without
        return f"{name} is supported by torch only, and the engine of {category!r} is {OPENVINO!r}"
    return None
