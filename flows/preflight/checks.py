"""Settings, stores, categories and days that are refused before anything is started."""

import difflib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

from flows.category_settings import CategorySettings
from flows.errors import RunFailed
from flows.preflight.night_choice import NoImages, choose_night
from flows.preflight.night_size import WORTH_SECONDS, seconds_to_come
from flows.preflight.reachable import answering, refused_by
from flows.settings import (
    PlantSettings,
    Settings,
    SettingsError,
    load_settings,
    nearest,
)
from storage.errors import StoreNotFound
from storage.filesystem import open_store
from storage.images import list_categories
from storage.labels.labels import list_label_categories
from storage.models.models import list_model_categories

_ALIKE = 0.6
"""difflib's similarity from which a name counts as mistyped"""


_MOST_NAMED = 10
"""categories that a refusal names"""


class ClusterNotUsable(RunFailed):
    """The configured Dask cluster does not answer."""


def checked_settings(
    store: str | None,
    categories: Sequence[str] | None = None,
    *,
    images: str | None = None,
    days: Sequence[date | None] = (),
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """The checked settings of a command. Raises SettingsError, or a StorageError when a store cannot be used."""
    settings = load_settings(answering(store), options={"images": images, **(options or {})})
    open_store(settings.images, read_only=True).check()
    refuse_unknown_categories(settings, categories or ())
    refuse_future(settings, days)
    return settings


def checked_night(
    store: str | None,
    day: date | None,
    categories: Sequence[str] | None = None,
    *,
    images: str | None = None,
    dask_address: str | None = None,
) -> bool:
    """Whether the night is large enough for a cluster. Raises NoImages for an empty day, and the errors of
    `checked_settings`. Without a `day` (the scheduled night), the run itself reports an empty day."""
    settings = load_settings(answering(store), options={"images": images, "dask_address": dask_address})
    refuse_dead_cluster(settings)
    refuse_future(settings, [day])
    refuse_mistyped_tables(settings, known_categories(settings))
    night = day or settings.yesterday(datetime.now(UTC))
    try:
        choice = choose_night(settings, night, categories)
    except NoImages as e:
        if day is not None or not (e.silent and e.other_days):
            raise
        return False
    return seconds_to_come(settings, night, choice.there) > WORTH_SECONDS


def refuse_reversed(first: date | None, last: date | None) -> None:
    """SettingsError if the last day is before the first: any statement would hold for no days."""
    if first and last and first > last:
        raise SettingsError(f"The first day, {first}, is after the last, {last}, so nothing was done. Swap the two.")


def refuse_dead_cluster(settings: Settings) -> None:
    """ClusterNotUsable if nothing listens at the Dask cluster's address: its clients would wait half a minute."""
    address = settings.plant.dask_address
    if address and (why := refused_by(address if "://" in address else f"tcp://{address}")):
        raise ClusterNotUsable(
            f"No Dask scheduler answers at {address} ({why}). Nothing was started. Start it, correct "
            "--dask-address, RD_INSPECT_DASK_ADDRESS or dask_address in categories.toml, or leave it out: then the "
            "command starts workers of its own."
        )


def refuse_future_import(store: str, days: Sequence[date]) -> None:
    """As `refuse_future`, for a store that need not exist yet."""
    with suppress(StoreNotFound):
        refuse_future(load_settings(store), days)
        return
    refuse_future(Settings(store=store, plant=PlantSettings(), defaults=CategorySettings(), categories={}), days)


def known_categories(settings: Settings) -> set[str]:
    """All categories that have images, labels or models."""
    store, images = open_store(settings.store, read_only=True), open_store(settings.images, read_only=True)
    return {*list_categories(images), *list_label_categories(store), *list_model_categories(store)}


def _those(known: set[str]) -> str:
    if not known:
        return "The store has none yet: rd-inspect import FOLDER --category NAME --run-date DATE"
    shown = sorted(known)[:_MOST_NAMED]
    return f"It has {', '.join(shown)}{f' and {len(known) - len(shown)} more' if len(known) > len(shown) else ''}."


def refuse_unknown_categories(settings: Settings, categories: Sequence[str]) -> None:
    """SettingsError for a category without images, labels and models, and as `refuse_mistyped_tables`."""
    known = known_categories(settings)
    for name in categories:
        if name not in known:
            raise SettingsError(
                f"There is no category {name!r} in {settings.store}: neither images nor labels nor models"
                f"{nearest(name, known)} Nothing was started. {_those(known)}"
            )
    refuse_mistyped_tables(settings, known)


def refuse_mistyped_tables(settings: Settings, known: set[str]) -> None:
    """SettingsError for an unknown category's table, if a known category without a table has nearly its name.
    Other tables may have been written before their first image came."""
    others = sorted(known - settings.categories.keys())
    for name in settings.categories.keys() - known:
        if close := difflib.get_close_matches(name, others, n=1, cutoff=_ALIKE):
            raise SettingsError(
                f"categories.toml has a table [categories.{name}], and there is no such category; did you mean "
                f"{close[0]!r}? Its settings would have no effect, so nothing was started. Correct the name, or take "
                "the table out until its first images are there."
            )


def refuse_future(settings: Settings, days: Sequence[date | None]) -> None:
    """SettingsError for a production day after tomorrow."""
    today = settings.today(datetime.now(UTC))
    for day in days:
        if day is not None and day > today + timedelta(days=1):
            raise SettingsError(
                f"{day} is in the future: it is {today} at the plant ({settings.plant.time_zone}). Nothing was "
                "started. Correct the date, or this machine's clock."
            )
