"""Days, categories and model versions of a grid."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from flows.settings import Settings, SettingsError, nearest
from storage.errors import AccessDenied, CorruptObject
from storage.filesystem import Store, open_store
from storage.images import list_categories, list_run_dates
from storage.models import models

WINDOW_DAYS = 30


def chosen_categories(settings: Settings, categories: Sequence[str] | None) -> list[str]:
    """`categories`, or all that have images. SettingsError for one without images."""
    images = open_store(settings.images, read_only=True)
    images.check()
    known = list_categories(images)
    for name in categories or ():
        if name not in known:
            raise SettingsError(
                f"There is no category {name!r} in {settings.images}{nearest(name, known)} Nothing was done."
            )
    return sorted(set(categories)) if categories else known


def chosen_days(
    settings: Settings, categories: Sequence[str], first: date | None, last: date | None
) -> tuple[date, date]:
    """(first, last), both included; default the 30 days up to the last one with images."""
    if last is None:
        images = open_store(settings.images, read_only=True)
        days = [max(dated) for name in categories if (dated := _days(images, name))]
        last = max(days, default=settings.yesterday(datetime.now(UTC)))
    first = first or last - timedelta(days=WINDOW_DAYS - 1)
    if first > last:
        raise SettingsError(f"The first day, {first}, is after the last, {last}, so nothing was done. Swap the two.")
    return first, last


def _days(images: Store, category: str) -> list[date]:
    try:
        return list_run_dates(images, category)
    except AccessDenied:  # of this folder: its cells say so
        return []


def refuse_unknown_version(store: Store, categories: Sequence[str], version: str) -> None:
    """SettingsError unless each of the categories has published this version."""
    without = [name for name in categories if version not in models.list_versions(store, name)]
    if without:
        have = sorted(set(categories) - set(without))
        known = models.list_versions(store, without[0])
        raise SettingsError(
            f"Model {version!r} is not one of {', '.join(without)}{nearest(version, known)} Versions belong to a "
            f"category: give exactly one --category{f', such as {have[0]}' if have else ''}. Nothing was done."
        )


def versions_in_force(store: Store, categories: Sequence[str], version: str | None) -> dict[str, str | None]:
    """By category: `version`, else its champion; None if there is none or its file is damaged."""
    if version:
        refuse_unknown_version(store, categories, version)
        return dict.fromkeys(categories, version)
    return {name: _champion(store, name) for name in categories}


def _champion(store: Store, category: str) -> str | None:
    try:
        champion = models.read_champion(store, category)
    except CorruptObject:  # the grid must be shown all the same; `rd-inspect verify` reports it
        return None
    return champion.version if champion else None
