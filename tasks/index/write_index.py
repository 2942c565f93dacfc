"""Writing the index page of all days and categories, from the store alone."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from reports.index.needs import needs
from reports.index.page import render_plant_index
from storage.filesystem import open_store
from storage.layout import INDEX_KEY
from tasks.index.plant_state import gather_plant
from tasks.reporting.published_reports import link_day
from tasks.worker.faults import ON_STORAGE_FAULT

READERS = 16
"""threads; reading small seals mostly waits for the store"""


@dataclass(frozen=True)
class WrittenIndex:
    """The page's key and its to-do list."""

    key: str
    needs: tuple[str, ...]
    """sentences, most urgent first; empty if there is nothing to do"""


@task(name="write-index", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def write_index(
    store_uri: str,
    now: datetime,
    images_uri: str | None = None,
    night: date | None = None,
    made_every_day: Sequence[str] | None = None,
) -> WrittenIndex:
    """Read the seals of the last days, the champions and the newest reports; replace the page.

    now: aware. images_uri: the images' store if it is another, to find missing nights. night: the last expected one;
    None: the last with images or a seal. made_every_day: categories whose missing images mean a silent camera; None:
    all. The page reports unreadable objects. Raises StorageError only if the store cannot be listed or written.
    """
    store = open_store(store_uri)
    images = open_store(images_uri or store_uri, read_only=True)
    with ThreadPoolExecutor(READERS) as pool:
        index = gather_plant(store, images, pool, now, night, made_every_day)
    is_first = store.info(INDEX_KEY) is None
    store.write(INDEX_KEY, render_plant_index(index).encode("utf-8"))
    if is_first:  # the reports before it could not lead to it
        for shown in index.nights:
            link_day(store, shown.day)
    return WrittenIndex(INDEX_KEY, tuple(str(need) for need in needs(index)))
