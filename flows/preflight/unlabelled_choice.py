"""Days whose images a training takes for normals although nobody has labelled them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from flows.preflight.checks import refuse_reversed
from flows.preflight.grid_choice import chosen_categories
from flows.printing.numbers import counted
from flows.settings import Settings, SettingsError
from storage.filesystem import open_store
from storage.images import list_images, list_run_dates


@dataclass(frozen=True)
class UnlabelledDays:
    """The images of one category."""

    category: str
    days: tuple[date, ...]
    """those with images, ascending"""
    images: int

    @property
    def words(self) -> str:
        """What a training on them means."""
        return (
            f"{self.category}: {counted(self.images, 'image')} of {counted(len(self.days), 'day')} are taken for "
            "normals, except those that somebody called anomalous or keeps for evaluation. Nobody has looked at "
            "them: what stands out is set aside, but a defect that many images show passes for normal. No label "
            "is written."
        )


def choose_unlabelled(
    settings: Settings, categories: Sequence[str] | None, first: date, last: date
) -> list[UnlabelledDays]:
    """The days from `first` to `last`, both included, that have images; of each category, by default of all with such
    a day. SettingsError without any, or for a category of `categories` that has none."""
    refuse_reversed(first, last)
    images = open_store(settings.images, read_only=True)
    found = []
    for name in chosen_categories(settings, categories):
        days = tuple(day for day in list_run_dates(images, name) if first <= day <= last)
        if days or categories:
            found.append(UnlabelledDays(name, days, sum(1 for day in days for _ in list_images(images, name, day))))
    if without := [one.category for one in found if not one.images]:
        raise SettingsError(
            f"{', '.join(without)} has no images from {first} to {last} in {settings.images}, so nothing was "
            "started. Give other days, or leave it out."
        )
    if not found:
        raise SettingsError(
            f"There are no images from {first} to {last} in {settings.images}, so nothing was started. Give other "
            "days."
        )
    return found
