"""What there is to evaluate, known before anything is started."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from shlex import quote

from flows.settings import SettingsError, nearest
from storage.errors import StorageError, TransientFault
from storage.filesystem import Store
from storage.labels import labels
from storage.layout import folder_day, images_prefix, seal_partition, seals_prefix
from storage.records import Partition


class NothingToEvaluate(SettingsError):
    """The days are not complete, or no image is labelled."""


@dataclass(frozen=True)
class EvaluationChoice:
    """Days and partitions of an evaluation."""

    first_day: date
    last_day: date
    """included"""
    partitions: tuple[Partition, ...]
    """complete ones"""
    labelled: tuple[Partition, ...]
    """of these, those with an evaluation label"""
    unread: dict[str, str]
    """by category, why its labels cannot be read"""


def choose_evaluation(
    store: Store, first_day: date | None, last_day: date | None, categories: Sequence[str] | None
) -> EvaluationChoice:
    """As `look_for_labels`; NothingToEvaluate also for days without a label."""
    choice = look_for_labels(store, first_day, last_day, categories)
    if not choice.labelled:
        raise NothingToEvaluate(_no_labels(store, choice.partitions, choice.first_day, choice.last_day))
    return choice


def look_for_labels(
    store: Store, first_day: date | None, last_day: date | None, categories: Sequence[str] | None
) -> EvaluationChoice:
    """NothingToEvaluate for days without a seal; a StorageError if no labels can be read."""
    first, last = evaluated_days(store, first_day, last_day)
    partitions = _partitions(store, first, last, categories)
    labelled, unread = _labelled(store, partitions)
    return EvaluationChoice(first, last, tuple(partitions), tuple(labelled), unread)


def evaluated_days(store: Store, first: date | None, last: date | None) -> tuple[date, date]:
    """The first and the last day of the evaluation."""
    if first is None and last is None:
        inspected = _inspected_days(store)
        if not inspected:
            raise NothingToEvaluate(
                f"No day is complete in {store.uri}, so there is nothing to evaluate. Inspect one: "
                f"rd-inspect inspect --run-date DATE --store {quote(store.uri)}"
            )
        return inspected[-1], inspected[-1]
    first_day, last_day = first or last, last or first
    assert first_day is not None and last_day is not None  # one of them was given
    if first_day > last_day:
        raise NothingToEvaluate(
            f"{first_day} comes after {last_day}, so there is no day between them. Give --from the earlier day."
        )
    return first_day, last_day


def _inspected_days(store: Store) -> list[date]:
    return sorted(day for day in map(folder_day, store.children(seals_prefix())) if day is not None)


def _partitions(store: Store, first: date, last: date, categories: Sequence[str] | None) -> list[Partition]:
    """Complete partitions of these days. NothingToEvaluate when there are none, or a category has none."""
    days = [day for day in _inspected_days(store) if first <= day <= last]
    partitions = [partition for day in days for partition in _sealed_partitions(store, day)]
    if not partitions:
        inspected = _inspected_days(store)
        known = f"Inspected days: {inspected[0]} to {inspected[-1]}." if inspected else "No day is inspected yet."
        raise NothingToEvaluate(
            f"{_span(first, last)} was not inspected in {store.uri}: no category is complete, so there is nothing to "
            f"evaluate. {known} Inspect it: rd-inspect inspect --run-date {last} --store {quote(store.uri)}"
        )
    names = sorted({partition.category for partition in partitions})
    for name in categories or []:
        if name not in names:
            raise NothingToEvaluate(
                f"Category {name!r} was not inspected in {_span(first, last)}{nearest(name, names)} Nothing was "
                f"evaluated. Inspect it: rd-inspect inspect --run-date {last} --category {name} "
                f"--store {quote(store.uri)}"
            )
    return [partition for partition in partitions if not categories or partition.category in categories]


def _sealed_partitions(store: Store, day: date) -> list[Partition]:
    """From the seals' keys: a damaged seal costs only its own partition, where it is evaluated."""
    named = (seal_partition(info.key) for info in store.list(seals_prefix(day)))
    return [Partition(*key) for key in named if key]


def _span(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _labelled(store: Store, partitions: Sequence[Partition]) -> tuple[list[Partition], dict[str, str]]:
    """(partitions with an evaluation label, by category why labels cannot be read). StorageError if that leaves
    none."""
    days, failed = set(), {}
    for name in sorted({partition.category for partition in partitions}):
        try:
            days |= {f"{'/'.join(key.split('/')[:3])}/" for key in _evaluation_keys(store, name)}
        except TransientFault:
            raise
        except StorageError as e:
            failed[name] = e
    labelled = [
        partition for partition in partitions if images_prefix(partition.category, partition.run_date) in days
    ]
    if failed and not labelled:
        raise next(iter(failed.values()))
    return labelled, {name: str(why) for name, why in failed.items()}


def _evaluation_keys(store: Store, category: str) -> list[str]:
    table = labels.read_labels(store, category).select(["image_key", "purpose"]).to_pylist()
    return [row["image_key"] for row in table if row["purpose"] == "evaluation"]


def _no_labels(store: Store, partitions: Sequence[Partition], first: date, last: date) -> str:
    names = sorted({partition.category for partition in partitions})
    others = sum(len(_evaluation_keys(store, name)) for name in names)
    elsewhere = f" {others} images of other days have one." if others else ""
    return (
        f"No image of {_span(first, last)} of {', '.join(names)} has an evaluation label in {store.uri}, so nothing "
        f"was evaluated.{elsewhere} Import a labelled test folder: rd-inspect import "
        f"FOLDER --category {names[0]} --run-date {last}; or write labels/{names[0]}/NAME.csv with the columns "
        "image_key, label (normal or anomalous), kind, mask_key and purpose, which must be evaluation: training "
        "labels are not used here."
    )
