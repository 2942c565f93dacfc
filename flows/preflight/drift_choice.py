"""Days, models and settings of a drift report, known before anything is started."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import date, timedelta
from typing import Any

from flows.settings import SettingsError, nearest
from rd_core.drift.settings import DriftSettings
from rd_core.errors import ConfigError
from storage.filesystem import Store
from storage.layout import folder_day, seal_partition, seals_prefix

WINDOW_DAYS = 30
# A model's p-value can be no smaller than 1 / (resamples + 1), and must pass a limit that falls with their number.
_RESAMPLES_A_MODEL = 40


def drift_window(store: Store, first_day: date | None, last_day: date | None) -> tuple[date, date] | None:
    """First and last day, both included; None if no last day is given and no day is complete."""
    last = last_day or last_inspected_day(store)
    if last is None:
        return None
    first = first_day or last - timedelta(days=WINDOW_DAYS - 1)
    if first > last:
        raise SettingsError(
            f"The first day, {first}, is after the last, {last}, so nothing was assessed. Swap the two."
        )
    return first, last


def last_inspected_day(store: Store) -> date | None:
    """The latest production day that is complete for some category; None if there is none."""
    days = map(folder_day, store.children(seals_prefix()))
    return max((day for day in days if day is not None), default=None)


def sealed_models(store: Store, first: date, last: date, categories: Sequence[str] | None) -> list[tuple[str, str]]:
    """(category, model version) with a seal in the period, from the seals' keys; the tasks read their contents."""
    days = (first + timedelta(days=i) for i in range((last - first).days + 1))
    keys = (info.key for day in days for info in store.list(seals_prefix(day)))
    sealed = {(seal[0], seal[2]) for seal in map(seal_partition, keys) if seal}
    known = {category for category, _ in sealed}
    for name in categories or []:
        if name not in known:
            raise SettingsError(
                f"Category {name!r} has no complete day from {first} to {last}{nearest(name, known)} "
                "Nothing was assessed."
            )
    return sorted(model for model in sealed if not categories or model[0] in categories)


def drift_settings(options: Mapping[str, Any], models: int) -> DriftSettings:
    known = [field.name for field in fields(DriftSettings)]
    for name in options:
        if name not in known:
            raise SettingsError(f"Drift setting {name!r} is not known{nearest(name, known)} Nothing was assessed.")
    enough = max(DriftSettings().resamples, _RESAMPLES_A_MODEL * models)
    try:
        return replace(DriftSettings(resamples=enough), **options)
    except ConfigError as e:
        raise SettingsError(str(e)) from e
