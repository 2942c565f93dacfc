"""The grid: which categories are scored on which days, told by the store alone."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import groupby
from threading import Lock

from storage import layout
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
"""requests at once; a listing is mostly waiting"""


@dataclass(frozen=True)
class Cell:
    """One category's images of one production day, and what a model version has made of them."""

    category: str
    run_date: date
    version: str | None
    """the model version asked for; None where none is in force"""
    state: str
    """'done'; 'partly': sealed, but images came late or changed since; 'failed': planned and never sealed, or not to
    be told; 'missing': never planned; 'training': nor to be, for all its images are there to train on, and no model
    has scored the day; 'no images': neither images nor a seal"""
    listed: int
    """images there now"""
    sealed: int
    """of these, how many the seal covers in the version they have now"""
    others: tuple[str, ...] = ()
    """other model versions that have sealed this day, sorted"""
    problem: str | None = None
    """why it is not to be told"""

    @property
    def to_do(self) -> int:
        """Images without a sealed row."""
        return self.listed - self.sealed


@dataclass(frozen=True)
class Grid:
    """Every cell of some days and categories."""

    first_day: date
    last_day: date
    """included"""
    cells: tuple[Cell, ...]
    """by day, then by category"""

    @property
    def undone(self) -> tuple[Cell, ...]:
        """Cells with something left to score."""
        return tuple(cell for cell in self.cells if cell.state in TO_DO)

    @property
    def counts(self) -> dict[str, int]:
        """Cells by state, in the order of STATES."""
        return {state: sum(cell.state == state for cell in self.cells) for state in STATES}


@dataclass(frozen=True)
class _Window:
    """Where to look, and what listings tell of the partitions there."""

    store: Store
    images: Store
    versions: Mapping[str, str | None]
    preprocessing: Mapping[str, str | None]
    """by category: what its model does to pixels first; None where its card does not tell, which costs time alone"""
    sealed: Mapping[tuple[str, date], set[str]]
    """model versions with a seal"""
    planned: Mapping[tuple[str, date], list[str]]
    """keys of manifests"""
    to_train_on: "_ToTrainOn"
    tell: Callable[[str], object]


class _ToTrainOn:
    """Images that a category's model was made with, or that are labelled normal for training. Read once, by whichever
    thread is the first to ask."""

    def __init__(self, store: Store, versions: Mapping[str, str | None]) -> None:
        self._store = store
        self._versions = versions
        self._found: dict[str, frozenset[str]] = {}
        self._lock = Lock()

    def holds(self, category: str, keys: Collection[str]) -> bool:
        """Whether all of these are."""
        with self._lock:
            if category not in self._found:
                self._found[category] = self._of_model(category) | self._labelled(category)
            return self._found[category].issuperset(keys)

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
    """The grid of the days from `first` to `last`, both included, and of the categories of `versions`. `tell` as for
    storage.partitions.same_images.compare, by which it is told what is done.

    Every prefix is listed once, whole months by one request. Of a cell with a seal the seal is read; its manifests
    only if the images there now do not make the sealed plan's digest, which covers each key and etag; the images
    themselves only where etags differ and sizes do not, once. Of a cell without a seal of this version the manifests'
    footers are read, and its category's labels and model card if nobody planned it. A seal or manifest that cannot be
    read makes its cell 'failed', with the problem; it does not end the look at the others.
    """
    preprocessing = {category: _preprocessing(store, category, version) for category, version in versions.items()}
    found: dict[tuple[date, str], Cell] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        sealed, planned = _sealed_versions(store, first, last, pool), _manifests(store, first, last, pool)
        window = _Window(store, images, versions, preprocessing, sealed, planned, _ToTrainOn(store, versions), tell)
        work = [
            pool.submit(_cells, window, category, prefix)
            for category in versions
            for prefix in layout.days_below(layout.category_images_prefix(category), first, last)
        ]
        found.update({(cell.run_date, cell.category): cell for listing in work for cell in listing.result()[0]})
        closed = {category: why for listing in work for category, why in listing.result()[1].items()}
    for day in (first + timedelta(days=i) for i in range((last - first).days + 1)):
        for category in versions:
            if (day, category) not in found:
                found[day, category] = _cell(window, category, day, [], closed.get(category))
    return Grid(first, last, tuple(found[where] for where in sorted(found)))


def _sealed_versions(
    store: Store, first: date, last: date, pool: ThreadPoolExecutor
) -> dict[tuple[str, date], set[str]]:
    found: defaultdict[tuple[str, date], set[str]] = defaultdict(set)
    prefixes = layout.days_below(f"{layout.seals_prefix()}run_date=", first, last)
    for infos in pool.map(lambda prefix: list(store.list(prefix)), prefixes):
        for category, day, version in filter(None, (layout.seal_partition(info.key) for info in infos)):
            found[category, day].add(version)
    return found


def _manifests(store: Store, first: date, last: date, pool: ThreadPoolExecutor) -> dict[tuple[str, date], list[str]]:
    found: defaultdict[tuple[str, date], list[str]] = defaultdict(list)
    prefixes = layout.days_below(f"{layout.manifests_root()}run_date=", first, last)
    for infos in pool.map(lambda prefix: list(store.list(prefix)), prefixes):
        for info in infos:
            if plan := layout.manifest_partition(info.key):
                found[plan[:2]].append(info.key)
    return found


def _preprocessing(store: Store, category: str, version: str | None) -> str | None:
    try:
        return None if version is None else models.read_card(store, category, version).preprocessing.version
    except OF_ONE_OBJECT:
        return None


def _cells(window: _Window, category: str, prefix: str) -> tuple[list[Cell], dict[str, str]]:
    """(the cells of the days below `prefix` that have images, why the category cannot be looked into at all)."""
    left_out, root = LeftOut(), layout.category_images_prefix(category)
    found: dict[date, Cell] = {}
    try:
        for day, listed in _by_day(window.images, prefix, root, left_out):
            found[day] = _cell(window, category, day, listed)
    except (TransientFault, StoreNotFound):
        raise
    except StorageError as e:  # of this folder alone: the others are shown
        return [], {category: str(e)}
    for key, why in left_out.broken.items():
        if (at := layout.day_named(key.removeprefix(root).partition("/")[0])) is not None:
            cell = found.get(at) or _cell(window, category, at, [])
            found[at] = replace(cell, state=FAILED, problem=why)
    return list(found.values()), {}


def _by_day(images: Store, prefix: str, root: str, left_out: LeftOut) -> Iterator[tuple[date, list[ObjectInfo]]]:
    listing = images.list(prefix, left_out)
    for name, infos in groupby(listing, lambda info: info.key.removeprefix(root).partition("/")[0]):
        # An empty object whose key ends in '/' is how S3 consoles mark a folder.
        listed = [info for info in infos if not (info.key.endswith("/") and info.size == 0)]
        if listed and (day := layout.day_named(name)):
            yield day, listed


def _cell(window: _Window, category: str, day: date, listed: list[ObjectInfo], closed: str | None = None) -> Cell:
    """`closed`: why some of the day's images may not be listed."""
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
    """Whether a manifest of the version is there."""
    plans = (manifests.read_plan(window.store, key) for key in window.planned.get((category, day), ()))
    return any(plan.partition.model_version == window.versions[category] for plan in plans)


def _sealed(window: _Window, partition: Partition, listed: list[ObjectInfo]) -> int:
    """How many of the listed images a seal covers as they are now."""
    seal = seals.read_seal(window.store, partition)
    if seal is None:
        raise KeyNotFound(
            f"the seal of {partition} was listed and is gone: somebody removes seals. Look at the grid again."
        )
    preprocessing = window.preprocessing[partition.category]
    if preprocessing is not None and len(seal.plans) == 1 and listed:
        only = seal.plans[0]
        size = max((part.rows for part in only.parts), default=0)
        if manifests.plan_digest(listed, partition.model_version, preprocessing, size, only.engine) == only.digest:
            return len(listed)
    return compare(window.store, window.images, seal, listed, tell=window.tell).same
