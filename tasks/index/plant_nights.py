"""The last days of a plant from their seals, and days with images but no seal."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial

from reports.index.plant import DAMAGED, SEALED, UNSEALED, CategoryDay, PlantDay
from storage.errors import CorruptObject, KeyNotFound
from storage.filesystem import Store
from storage.layout import (
    card_key,
    category_images_prefix,
    folder_day,
    images_root,
    is_plain,
    path_from_index,
    report_key,
    seal_key,
    seal_partition,
    seals_prefix,
)
from storage.models import models
from storage.partitions import seals
from storage.partitions.rows_in_force import rows_in_force
from storage.partitions.seals import Seal
from storage.records import Partition
from tasks.index.tolerant_reads import read_all, whole_number
from tasks.reporting.published_reports import INSPECTION, Shelf

SEALED_DAYS = 31
"""days on the page"""


@dataclass(frozen=True)
class PlantNights:
    """The last days."""

    nights: tuple[PlantDay, ...]
    """newest first"""
    older_days: int
    """number of older sealed days"""
    unreadable: dict[str, str]
    """reason, by key"""


@dataclass(frozen=True)
class _Counts:
    """The contents of one seal."""

    sealed_at: float
    """seconds since 1970"""
    images: int
    ok: int
    anomalous: int


def read_nights(store: Store, pool: Executor, image_days: Mapping[str, Sequence[date]], now: datetime) -> PlantNights:
    """The last SEALED_DAYS sealed days, and later unsealed days with images. Raises StorageError."""
    known = (folder_day(name) for name in store.children(seals_prefix()))
    sealed_days = sorted({day for day in known if day is not None})
    shown = sealed_days[-SEALED_DAYS:]
    partitions = {partition for sealed in pool.map(lambda day: _sealed(store, day), shown) for partition in sealed}
    counts, damaged = _read_seals(store, pool, partitions)
    alphas, bad_cards = _read_alphas(store, pool, {(where.category, where.model_version) for where in counts})
    rows = _rows(partitions, counts, alphas)
    for category, day in _unsealed(rows, image_days, now):
        rows[day][category] = CategoryDay(category, UNSEALED)
    days = sorted(rows, reverse=True)
    reports = pool.map(lambda day: _run_reports(store, day), days)
    shelf = Shelf(store)
    others = pool.map(lambda day: tuple(shelf.of_other_kinds(day, INSPECTION)), days)
    nights = tuple(
        PlantDay(day, tuple(rows[day][name] for name in sorted(rows[day])), paths, beside)
        for day, paths, beside in zip(days, reports, others, strict=True)
    )
    return PlantNights(nights, len(sealed_days) - len(shown), damaged | bad_cards)


def read_image_days(images: Store, pool: Executor) -> tuple[dict[str, tuple[date, ...]], dict[str, str]]:
    """(days with images by category, why other categories' folders are unreadable, by prefix).

    Folders that cannot be a category are left out.
    """
    prefixes = {category_images_prefix(name): name for name in images.children(images_root()) if is_plain(name)}
    read, unreadable = read_all(pool, {prefix: partial(images.children, prefix) for prefix in prefixes})
    days = {
        prefixes[prefix]: tuple(day for day in map(folder_day, below) if day is not None)
        for prefix, below in read.items()
    }
    return days, unreadable


def _sealed(store: Store, day: date) -> list[Partition]:
    """From the seals' keys alone; other objects are ignored."""
    partitions = (seal_partition(info.key) for info in store.list(seals_prefix(day)))
    return [Partition(*parts) for parts in partitions if parts and is_plain(parts[0]) and is_plain(parts[2])]


def _read_seals(
    store: Store, pool: Executor, partitions: set[Partition]
) -> tuple[dict[Partition, _Counts], dict[str, str]]:
    keys = {seal_key(where.category, where.run_date, where.model_version): where for where in partitions}
    read, unreadable = read_all(pool, {key: partial(_counts, store, partition) for key, partition in keys.items()})
    return {keys[key]: counts for key, counts in read.items() if counts is not None}, unreadable


def _counts(store: Store, partition: Partition) -> _Counts | None:
    seal = seals.read_seal(store, partition)
    if seal is None:
        return None  # removed since it was listed
    if seal.partition != partition:
        raise CorruptObject(
            f"The seal names {seal.partition} instead. Restore it, or remove it and inspect the day again."
        )
    if any(plan.supersedes for plan in seal.plans):
        images, ok, anomalous = _count_rows(store, seal)
    else:
        images, ok, anomalous = (
            sum(whole_number(getattr(plan, name)) for plan in seal.plans) for name in ("images", "ok", "anomalous")
        )
    if not anomalous <= ok <= images:
        raise ValueError(f"{anomalous} anomalous of {ok} scored of {images} images")
    return _Counts(seal.sealed_at.timestamp(), images, ok, anomalous)


def _count_rows(store: Store, seal: Seal) -> tuple[int, int, int]:
    """(images, ok, anomalous) of a day whose plans repeat images: the seal's counts are those of plans."""
    images = ok = anomalous = 0
    try:
        for table in rows_in_force(store, [seal], ["image_key", "status", "is_anomalous"]):
            images += len(table)
            ok += table["status"].to_pylist().count("ok")
            anomalous += table["is_anomalous"].to_pylist().count(True)
    except KeyNotFound as e:
        raise CorruptObject(f"A score file that the seal names is gone: {e}") from e
    return images, ok, anomalous


def _read_alphas(
    store: Store, pool: Executor, versions: set[tuple[str, str]]
) -> tuple[dict[tuple[str, str], float], dict[str, str]]:
    keys = {card_key(*version): version for version in versions}
    read, unreadable = read_all(pool, {key: partial(_alpha, store, *version) for key, version in keys.items()})
    return {keys[key]: alpha for key, alpha in read.items()}, unreadable


def _alpha(store: Store, category: str, version: str) -> float:
    return models.read_card(store, category, version).threshold.alpha


def _rows(
    partitions: set[Partition], counts: Mapping[Partition, _Counts], alphas: Mapping[tuple[str, str], float]
) -> defaultdict[date, dict[str, CategoryDay]]:
    """By day and category. Where several versions sealed a day, the last one has rescored all of it."""
    of_night: defaultdict[tuple[date, str], list[Partition]] = defaultdict(list)
    for partition in partitions:
        of_night[partition.run_date, partition.category].append(partition)
    rows: defaultdict[date, dict[str, CategoryDay]] = defaultdict(dict)
    for (day, category), versions in of_night.items():
        whole = [version for version in versions if version in counts]
        if not whole:
            rows[day][category] = CategoryDay(category, DAMAGED)
            continue
        last = max(whole, key=lambda version: (counts[version].sealed_at, version.model_version))
        count = counts[last]
        rows[day][category] = CategoryDay(
            category, SEALED, last.model_version, len(whole) - 1, count.images, count.ok, count.anomalous,
            alphas.get((category, last.model_version)),
        )  # fmt: skip
    return rows


def _unsealed(
    rows: Mapping[date, Mapping[str, CategoryDay]], image_days: Mapping[str, Sequence[date]], now: datetime
) -> list[tuple[str, date]]:
    """Days with images but no seal, after the category's first sealed day: earlier days were for training.

    Until yesterday, so that a failed night is included; today's images wait for their night.
    """
    if not rows:
        return []
    until = max(*rows, now.date() - timedelta(days=1))
    first = {name: min(day for day in rows if name in rows[day]) for day in rows for name in rows[day]}
    return [
        (category, day)
        for category, days in image_days.items()
        for day in days
        if first.get(category, min(rows)) <= day <= until and category not in rows.get(day, {})
    ]


def _run_reports(store: Store, day: date) -> tuple[str, ...]:
    reports = [info for info in store.list(report_key("inspection", day, "")) if info.key.endswith(".html")]
    return tuple(
        path_from_index(info.key) for info in sorted(reports, key=lambda report: report.modified, reverse=True)
    )
