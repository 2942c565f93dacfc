"""The demo: a generated factory from first image to last report."""

import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shlex import quote

from rich.console import Console
from rich.progress import track

from demo.factory import NIGHTS, Factory, FactoryImage
from flows.dask_cluster import dask_cluster
from flows.inspection import inspect_images
from flows.refusals import DEMO_MARKER, refuse_demo
from flows.settings import load_settings
from flows.tables.plain_table import plain_table, print_table
from flows.training import train_model
from storage import labels
from storage.filesystem import Store, open_store
from storage.labels import Label
from storage.layout import INDEX_KEY, SETTINGS_KEY, image_key, mask_key
from storage.queries import run_query

FIRST_NIGHT = date(2026, 1, 12)
SETTINGS = """\
# Settings of the demo's plant. `rd-inspect train --help` lists what can be set.
[defaults]
image_size = 128
steps = 160         # a shorter training than the recipe's, so that the demo stays below a few minutes
alpha = 0.05        # one false alarm in twenty: what the demo's few normals can promise
"""
FOUND_SQL = """
SELECT latest.category, run_date,
       count(*) AS images,
       count(*) FILTER (label = 'anomalous') AS defects,
       count(*) FILTER (label = 'anomalous' AND is_anomalous) AS found,
       count(*) FILTER (label = 'normal' AND is_anomalous) AS false_alarms,
       count(*) FILTER (status <> 'ok') AS unreadable
FROM latest LEFT JOIN labels USING (image_key)
GROUP BY ALL ORDER BY run_date, latest.category
"""
NIGHT_NAMES = ("plain", "broken files", "drifting light")


def demonstrate(store_uri: str) -> None:
    """Generate, train, inspect three nights, print what was found. Raises TrainingFailed, InspectionFailed."""
    store = _fresh_store(store_uri)
    factory = Factory()
    _fill(store, factory)
    settings = load_settings(store_uri)
    with dask_cluster(settings) as scheduler:
        train_model(store_uri, dask_address=scheduler)
        for night in range(NIGHTS):
            inspect_images(store_uri, _day(night), dask_address=scheduler)
    _show(store_uri.rstrip("/"))


def _fresh_store(store_uri: str) -> Store:
    """An empty store; a folder is emptied only when a demo made it."""
    refuse_demo(store_uri)
    if Path(store_uri).exists():
        shutil.rmtree(store_uri)
    store = open_store(store_uri, create=True)
    store.write(DEMO_MARKER, b"rd-inspect demo removes this folder when it starts again.\n")
    return store


def _fill(store: Store, factory: Factory) -> None:
    store.write(SETTINGS_KEY, SETTINGS.encode())
    steps = [(category, night) for category in factory.categories for night in (None, *range(NIGHTS))]
    console = Console(stderr=True)
    for category, night in track(steps, "the factory works", console=console, disable=not console.is_terminal):
        if night is None:
            _write(store, category, FIRST_NIGHT - timedelta(days=1), factory.normals(category), "training")
        else:
            _write(store, category, _day(night), factory.night(category, night), "evaluation")


def _write(store: Store, category: str, day: date, images: Iterator[FactoryImage], purpose: str) -> None:
    written = []
    for image in images:
        key, mask = image_key(category, day, image.name), None
        store.write(key, image.data)
        if image.mask is not None:
            mask = mask_key(category, day, f"{Path(image.name).with_suffix('')}_mask.png")
            store.write(mask, image.mask)
        if image.readable:
            written.append(Label(key, image.label, mask, "demo", datetime.now(UTC), image.kind, purpose))
    labels.write_labels(store, category, written, f"demo-{day}")


def _day(night: int) -> date:
    return FIRST_NIGHT + timedelta(days=night)


def _show(store_uri: str) -> None:
    console = Console(soft_wrap=True)
    table = plain_table("night", "category", "images", "defects", "found", "false alarms", "unreadable")
    table.title = "What was found"
    for row in run_query(open_store(store_uri, read_only=True), FOUND_SQL).to_pylist():
        table.add_row(
            f"{row['run_date']:%d %b}, {NIGHT_NAMES[(row['run_date'] - FIRST_NIGHT).days]}",
            row["category"],
            *(str(row[name]) for name in ("images", "defects", "found", "false_alarms", "unreadable")),
        )
    print_table(table)
    console.print(f"To open in a browser: {store_uri}/{INDEX_KEY}, which leads to the reports of all nights.")
    console.print(_what_next(store_uri), markup=False, highlight=False)


def _what_next(store: str) -> str:
    command = os.path.relpath(sys.argv[0])  # as it can be typed here, in a virtual environment or not
    return f"""
The store is {store}: images/, labels/, models/, manifests/, maps/ (zarr), scores/ (Parquet),
seals/, reports/. Try next:
  {command} models --store {quote(store)}
  {command} query "SELECT image_key, score, threshold FROM latest ORDER BY score DESC LIMIT 10" --store {quote(store)}
  {command} inspect --run-date {_day(0)} --store {quote(store)}    (nothing to do: the night is complete)
  {command} status --store {quote(store)}
  {command} review --store {quote(store)}    (a page on which flagged images are labelled)
"""
