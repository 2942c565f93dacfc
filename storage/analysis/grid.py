"""The grid: state of each category and day, derived from the store alone."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import groupby
from threading import Lock

from storage import layout
from storage.day_prefixes import days_below
from storage.errors import OF_ONE_OBJECT, KeyNotFound, StorageError, StoreNotFound, TransientFault
from storage.labels import labels
from storage.models import models
from storage.partitions import manifests, seals
from storage.partitions.same_images import compare
from storage.records import ObjectInfo, Partition
from storage.stores.left_out import LeftOut
from storage.stores.store import Store

DONE, PARTLY, FAILED, MISSING = "done", "partly", "failed", "missing"
TRAINING, NO_IMAGES = "training", "no images"
STATES = (DONE, PARTLY, FAILED, MISSING, TRAINING, NO_IMAGES)
TO_DO = (PARTLY, FAILED, MISSING)
_THREADS = 16
"""parallel requests; listings mostly wait"""


@dataclass(frozen=True)
class Cell:
    """One category's images of one production day and their scores by one model version."""

    category: str
    run_date: date
    version: str | None
    """the requested model version; None without a champion"""
    state: str
    """'done'; 'partly': sealed, but images came late or changed since; 'failed': planned but not sealed, or
    unreadable; 'missing': never planned; 'training': all images are training images and no model has scored the day;
    'no images': neither images nor a seal"""
    listed: int
    """number of images now"""
    sealed: int
    """number of these that the seal covers in their present version"""
    others: tuple[str, ...] = ()
    """other model versions with a seal of this day, sorted"""
    problem: str | None = None
    """why the state is unknown"""

    @property
    def to_do(self) -> int:
        """Number of images without a sealed row."""
        return self.listed - self.sealed


@dataclass(frozen=True)
class Grid:
    """The cells of several days and categories."""

    first_day: date
    last_day: date
    """included"""
    cells: tuple[Cell, ...]
    """by day, then by category"""

    @property
    def undone(self) -> tuple[Cell, ...]:
        """Cells with images left to score."""
        return tuple(cell for cell in self.cells if cell.state in TO_DO)

    @property
    def counts(self) -> dict[str, int]:
        """Cells by state, in the order of STATES."""
        return {state: sum(cell.state == state for cell in self.cells) for state in STATES}


@dataclass(frozen=True)
class _Window:
    """The stores, and what listings say about their partitions."""

    store: Store
    images: Store
    versions: Mapping[str, str | None]
    preprocessing: Mapping[str, str | None]
    """by category: the model's preprocessing version; None if its card cannot be read, which only costs time"""
    sealed: Mapping[tuple[str, date], set[str]]
    """model versions with a seal"""
    planned: Mapping[tuple[str, date], list[str]]
    """keys of manifests"""
    to_train_on: "_ToTrainOn"
    tell: Callable[[str], object]


class _ToTrainOn:
    """Images that a category's model was made with or that are labelled normal for training; read once, by the first
    thread that needs them."""

    def __init__(self, store: Store, versions: Mapping[str, str | None]) -> None:
        self._store = store
        self._versions = versions
        self._training_keys: dict[str, frozenset[str]] = {}
        self._lock = Lock()

    def holds(self, category: str, keys: Collection[str]) -> bool:
        """Whether all of these images are for training."""
        with self._lock:
            if category not in self._training_keys:
                self._training_keys[category] = self._of_model(category) | self._labelled(category)
            return self._training_keys[category].issuperset(keys)

    def _of_model(self, category: str) -> frozenset[str]:
        version = self._versions[category]
        try:
            return frozenset(models.read_card(self._store, category, version).images.named if version else ())
        except OF_ONE_OBJECT:
            return frozenset()  # a damaged card is told elsewhere

    def _labelled(self, category: str) -> frozenset[str]:
        try:
            return frozenset(labels.normal_image_keys(self._store, category))
        except OF_ONE_OBJECT:
            return frozenset()


def read_grid(
    store: Store,
    images: Store,
    first: date,
    last: date,
    versions: Mapping[str, str | None],
    *,
    tell: Callable[[str], object] = lambda _: None,
) -> Grid:
    """The grid of the days from `first` to `last`, both included, and of the categories of `versions`. `tell`: as for
    storage.partitions.same_images.compare.

    Lists every prefix once, whole months in one request. Reads each cell's seal; its manifests only if the present
    images do not give the sealed plan's digest; images only if their etag differs and their size does not. Without a
    seal it reads the manifests' footers, and labels and model card of categories nobody planned. An unreadable seal
    or manifest makes its cell 'failed' and does not affect others.
    """
    preprocessing = {category: _preprocessing(store, category, version) for category, version in versions.items()}
    cells: dict[tuple[date, str], Cell] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        sealed, planned = _sealed_versions(store, first, last, pool), _manifests(store, first, last, pool)
        window = _Window(store, images, versions, preprocessing, sealed, planned, _ToTrainOn(store, versions), tell)
        work = [
            pool.submit(_cells, window, category, prefix)
            for category in versions
            for prefix in days_below(layout.category_images_prefix(category), first, last)
        ]
        cells.update({(cell.run_date, cell.category): cell for listing in work for cell in listing.result()[0]})
        closed = {category: why for listing in work for category, why in listing.result()[1].items()}
    for day in (first + timedelta(days=i) for i in range((last - first).days + 1)):
        for category in versions:
            if (day, category) not in cells:
                cells[day, category] = _cell(window, category, day, [], closed.get(category))
    return Grid(first, last, tuple(cells[where] for where in sorted(cells)))


def _sealed_versions(
    store: Store, first: date, last: date, pool: ThreadPoolExecutor
) -> dict[tuple[str, date], set[str]]:
    versions_of: defaultdict[tuple[str, date], set[str]] = defaultdict(set)
    prefixes = days_below(f"{layout.seals_prefix()}run_date=", first, last)
    for infos in pool.map(lambda prefix: list(store.list(prefix)), prefixes):
        for category, day, version in filter(None, (layout.seal_partition(info.key) for info in infos)):
            versions_of[category, day].add(version)
    return versions_of


def _manifests(store: Store, first: date, last: date, pool: ThreadPoolExecutor) -> dict[tuple[str, date], list[str]]:
    keys_of: defaultdict[tuple[str, date], list[str]] = defaultdict(list)
    prefixes = days_below(f"{layout.manifests_root()}run_date=", first, last)
    for infos in pool.map(lambda prefix: list(store.list(prefix)), prefixes):
        for info in infos:
            if plan := layout.manifest_partition(info.key):
                keys_of[plan[:2]].append(info.key)
    return keys_of


def _preprocessing(store: Store, category: str, version: str | None) -> str | None:
    try:
        return None if version is None else models.read_card(store, category, version).preprocessing.version
    except OF_ONE_OBJECT:
        return None


def _cells(window: _Window, category: str, prefix: str) -> tuple[list[Cell], dict[str, str]]:
    """(cells of the days below `prefix` with images, why the category cannot be listed)."""
    left_out, root = LeftOut(), layout.category_images_prefix(category)
    cells: dict[date, Cell] = {}
    try:
        for day, listed in _by_day(window.images, prefix, root, left_out):
            cells[day] = _cell(window, category, day, listed)
    except (TransientFault, StoreNotFound):
        raise
    except StorageError as e:  # of this folder alone: the others are shown
        return [], {category: str(e)}
    for key, why in left_out.broken.items():
        if (at := layout.day_named(key.removeprefix(root).partition("/")[0])) is not None:
            cell = cells.get(at) or _cell(window, category, at, [])
            cells[at] = replace(cell, state=FAILED, problem=why)
    return list(cells.values()), {}


def _by_day(images: Store, prefix: str, root: str, left_out: LeftOut) -> Iterator[tuple[date, list[ObjectInfo]]]:
    listing = images.list(prefix, left_out)
    for name, infos in groupby(listing, lambda info: info.key.removeprefix(root).partition("/")[0]):
        # An empty object whose key ends in '/' is how S3 consoles mark a folder.
        listed = [info for info in infos if not (info.key.endswith("/") and info.size == 0)]
        if listed and (day := layout.day_named(name)):
            yield day, listed


def _cell(window: _Window, category: str, day: date, listed: list[ObjectInfo], closed: str | None = None) -> Cell:
    """`closed`: why some of the day's images cannot be listed."""
    version = window.versions[category]
    versions = window.sealed.get((category, day), set())
    sealed, problem = 0, None
    try:
        if version in versions:
            sealed = _sealed(window, Partition(category, day, version), listed)
            state = DONE if sealed == len(listed) else PARTLY
        elif not listed:
            state = NO_IMAGES
        elif _is_planned(window, category, day):
            state = FAILED
        elif not versions and window.to_train_on.holds(category, [info.key for info in listed]):
            state = TRAINING
        else:
            state = MISSING
    except OF_ONE_OBJECT as e:
        state, problem = FAILED, str(e)
    if closed is not None:
        state, problem = FAILED, closed
    others = tuple(sorted(versions - {version}))
    return Cell(category, day, version, state, len(listed), sealed, others, problem)


def _is_planned(window: _Window, category: str, day: date) -> bool:
    """Whether the version has a manifest."""
    plans = (manifests.read_plan(window.store, key) for key in window.planned.get((category, day), ()))
    return any(plan.partition.model_version == window.versions[category] for plan in plans)


def _sealed(window: _Window, partition: Partition, listed: list[ObjectInfo]) -> int:
    """Number of the listed images that a seal covers in their present version."""
    seal = seals.read_seal(window.store, partition)
    if seal is None:
        raise KeyNotFound(
            f"the seal of {partition} disappeared after it was listed, so its state is unknown. Show the grid again."
        )
    preprocessing = window.preprocessing[partition.category]
    if preprocessing is not None and len(seal.plans) == 1 and listed:
        only = seal.plans[0]
        size = max((part.rows for part in only.parts), default=0)
        if manifests.plan_digest(listed, partition.model_version, preprocessing, size, only.engine) == only.digest:
            return len(listed)
    return compare(window.store, window.images, seal, listed, tell=window.tell).same
