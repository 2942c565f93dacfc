"""What there is to inspect on a day and what is missing, known before anything is started."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date

from flows.settings import Settings, SettingsError, nearest
from storage.errors import StorageError
from storage.filesystem import Store, open_store
from storage.images import list_categories, list_run_dates, odd_folders
from storage.models import models
from storage.stores.left_out import LeftOut

_MOST_NAMES = 5
_THREADS = 16
"""requests at once; listing is mostly waiting"""


@dataclass(frozen=True)
class NightChoice:
    """Categories by what they have on one day, names sorted."""

    there: tuple[str, ...]
    """have images of that day"""
    silent: tuple[str, ...]
    """have none, though they have a champion and are made every day"""
    idle: tuple[str, ...]
    """have none, and were requested by name"""
    broken: dict[str, str]
    """by category, why its folder cannot be read"""
    odd: tuple[str, ...]
    """folders whose name is no category or day: no run reads them"""
    strays: dict[str, str]
    """by folder, files outside any day's folder, in words"""
    left_out: LeftOut


class NoImages(SettingsError):
    """No category has an image of the day. Nothing was inspected."""

    def __init__(self, message: str, silent: tuple[str, ...], *, other_days: bool) -> None:
        super().__init__(message)
        self.silent = silent
        """categories with a champion"""
        self.other_days = other_days
        """whether other days have images; if none has, the store may be the wrong one"""


@dataclass(frozen=True)
class _Folders:
    """Contents of the categories' folders."""

    days: dict[str, list[date]] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)


def choose_night(settings: Settings, day: date, categories: Sequence[str] | None) -> NightChoice:
    """The categories to inspect, of `categories` or of all. StorageError if the images' store cannot be used.

    SettingsError for a category with neither images nor a champion. NoImages for a day without any image, unless
    all categories with a champion are not made every day.
    """
    images, store = open_store(settings.images, read_only=True), open_store(settings.store, read_only=True)
    images.check()
    left_out = LeftOut()
    known = list_categories(images, left_out)
    in_force = [name for name in models.list_model_categories(store) if models.has_champion(store, name)]
    for name in categories or ():
        if name not in {*known, *in_force}:
            raise SettingsError(
                f"There is no category {name!r} in {settings.images}{nearest(name, known)} Nothing was inspected."
            )
    chosen = sorted({*categories} if categories else {*known, *in_force})
    folders = _look(images, [name for name in chosen if name in known])
    left_out.add(folders.left_out)
    there = tuple(name for name in chosen if day in folders.days.get(name, ()))
    missing = [name for name in chosen if name not in there and name not in folders.broken]
    silent = tuple(name for name in missing if name in in_force and settings.category(name).every_day)
    expected = not chosen or any(settings.category(name).every_day for name in chosen)
    if not there and not folders.broken and expected:
        raise NoImages(_no_images(settings, day, folders.days), silent, other_days=any(folders.days.values()))
    odd = [] if categories else odd_folders(images)
    idle = tuple(name for name in missing if categories and name not in silent)
    strays = {
        folder: f"{count:,} file{'s' if count > 1 else ''} in no day's folder, such as {name}"
        for folder, (count, name) in left_out.strays.items()
    }
    return NightChoice(there, silent, idle, folders.broken, (*odd, *folders.odd), strays, left_out)


def _look(images: Store, categories: Sequence[str]) -> _Folders:
    folders = _Folders()

    def look(name: str) -> tuple[list[date], list[str], LeftOut] | str:
        left_out = LeftOut()
        try:
            return list_run_dates(images, name, left_out), odd_folders(images, name), left_out
        except StorageError as e:  # of this category; the others are inspected
            return str(e)

    with ThreadPoolExecutor(_THREADS) as pool:
        for name, seen in zip(categories, pool.map(look, categories), strict=True):
            if isinstance(seen, str):
                folders.broken[name] = seen
                continue
            folders.days[name] = seen[0]
            folders.odd.extend(seen[1])
            folders.left_out.add(seen[2])
    return folders


def _no_images(settings: Settings, day: date, days: dict[str, list[date]]) -> str:
    """The error's text helps to tell a wrong day, a wrong store and silent cameras apart."""
    empty = f"There is no image of {day} in {settings.images}/images/, so nothing was inspected."
    if not any(days.values()):
        return (
            f"{empty} No category has images there. If the line writes elsewhere, name that store: --images URI, or "
            f"images in categories.toml. Images lie in images/<category>/{day}/."
        )
    latest = max(max(dated) for dated in days.values() if dated)
    of = [name for name, dated in days.items() if latest in dated]
    more = f" and {len(of) - _MOST_NAMES} more" if len(of) > _MOST_NAMES else ""
    return (
        f"{empty} The latest day there is {latest}, of {', '.join(of[:_MOST_NAMES])}{more}. Correct --run-date or "
        "--images; if both are right, look at the cameras and at what copies their images. A category that is not "
        "made every day has every_day = false in categories.toml."
    )
