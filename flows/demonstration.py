"""The demo: a generated factory from first image to last report."""

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shlex import quote
from typing import Any

from rich.console import Console
from rich.progress import track

from demo.factory import BROKEN_NIGHT, LAMP_NIGHT, NIGHTS, Factory, FactoryImage
from flows.dask_cluster import dask_cluster
from flows.evaluation import evaluate
from flows.inspection import inspect_images
from flows.preflight.refusals import DEMO_MARKER, refuse_demo
from flows.printing.plain_table import plain_table, print_table
from flows.settings import load_settings
from flows.training import train_model
from storage.analysis.queries import run_query
from storage.filesystem import Store, open_store
from storage.labels import labels
from storage.labels.labels import Label
from storage.layout import INDEX_KEY, SETTINGS_KEY, image_key, mask_key

FIRST_NIGHT = date(2026, 1, 12)
ALPHA, IMAGE_SIZE = 0.05, 128
SETTINGS = f"""\
# Settings of the demo's plant. `rd-inspect train --help` lists what can be set.
[defaults]
image_size = {IMAGE_SIZE}
alpha = {ALPHA}        # one false alarm in twenty: the lowest rate that the demo's few normal images allow
engine = "torch"    # compiling OpenVINO graphs takes longer than scoring the demo's few images
[defaults.reverse_distillation]
steps = 130         # a shorter training than the recipe's, so that the demo stays below a few minutes
[drift]
defect_share = 0.07 # of the parts on this line; up to it, defects are no drift
"""
FOUND_SQL = """
SELECT run_date,
       count(*) AS images,
       count(*) FILTER (label = 'anomalous') AS defects,
       count(*) FILTER (label = 'anomalous' AND is_anomalous) AS found,
       count(*) FILTER (label = 'normal' AND status = 'ok') AS good,
       count(*) FILTER (label = 'normal' AND is_anomalous) AS false_alarms,
       count(*) FILTER (status <> 'ok') AS unreadable
FROM latest LEFT JOIN labels USING (image_key)
GROUP BY ALL ORDER BY run_date
"""
NIGHT_NAMES = ("plain", "broken files", "plain", "plain", "a lamp fails")


@dataclass(frozen=True)
class DemoReports:
    """Figures that the reports of the demo's nights lead to, by their keys."""

    ordinary: str | None
    """evaluation of the nights before the lamp failed"""
    broken: str | None
    """run report of the night with broken files"""
    drift: str | None
    """drift report of the last night"""
    verdict: str
    """verdict of the drift report, with its cause"""


def demonstrate(store_uri: str) -> None:
    """Generate, train, inspect the nights, print the result. Raises TrainingFailed, InspectionFailed,
    EvaluationFailed."""
    store = _fresh_store(store_uri)
    factory = Factory(size=IMAGE_SIZE)
    _fill(store, factory)
    settings = load_settings(store_uri)
    with dask_cluster(settings) as scheduler:
        train_model(store_uri, dask_address=scheduler)
        # The nights before the last two get their evaluation together, which is shorter and has more defects.
        runs = [
            inspect_images(store_uri, _day(night), reports=night >= LAMP_NIGHT - 1, dask_address=scheduler)
            for night in range(NIGHTS)
        ]
        ordinary = evaluate(store_uri, _day(0), _day(LAMP_NIGHT - 1), dask_address=scheduler)
    drift = next((report.report for report in runs[LAMP_NIGHT].reports if report.kind == "drift"), None)
    _show(
        store_uri.rstrip("/"), DemoReports(ordinary.report, runs[BROKEN_NIGHT].report, drift, _verdict(store, drift))
    )


def _verdict(store: Store, report: str | None) -> str:
    """The most common verdict and cause of a drift report, such as 'retrain: light or camera'."""
    if report is None:
        return "nothing"
    report_json = json.loads(store.read(report.removesuffix(".html") + ".json"))
    last = [category["models"][-1]["assessment"] for category in report_json["categories"] if category["models"]]
    causes = Counter(assessment["causes"][0]["name"] for assessment in last if assessment["causes"])
    return ": ".join([report_json["verdict"], *(name for name, _ in causes.most_common(1))])


def _fresh_store(store_uri: str) -> Store:
    """An empty store; only a folder that a demo made is emptied."""
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


def _show(store_uri: str, reports: DemoReports) -> None:
    console = Console(soft_wrap=True)
    table = plain_table("night", "images", "defects", "found", "good parts", "false alarms", "unreadable")
    table.title = "Results"
    rows = run_query(open_store(store_uri, read_only=True), FOUND_SQL).to_pylist()
    for row in rows:
        table.add_row(
            f"{row['run_date']:%d %b}, {NIGHT_NAMES[(row['run_date'] - FIRST_NIGHT).days]}",
            *(str(row[name]) for name in ("images", "defects", "found", "good", "false_alarms", "unreadable")),
        )
    print_table(table)
    for sentence, report in story(rows, reports):
        console.print(f"\n{sentence}\n  {store_uri}/{report}", markup=False, highlight=False)
    console.print(f"\nAll reports: {store_uri}/{INDEX_KEY}, to open in a browser.", markup=False, highlight=False)
    console.print(_what_next(store_uri), markup=False, highlight=False)


def story(rows: Sequence[Mapping[str, Any]], reports: DemoReports) -> list[tuple[str, str | None]]:
    """What happened, in sentences, each with its report. `rows`: those of FOUND_SQL, one a night."""
    ordinary, broken, lamp = rows[:LAMP_NIGHT], rows[BROKEN_NIGHT], rows[LAMP_NIGHT]
    sums = {name: sum(row[name] for row in ordinary) for name in ("defects", "found", "good", "false_alarms")}
    return [
        (
            f"On the first {len(ordinary)} nights {sums['found']} of {sums['defects']} defects were found, and "
            f"{sums['false_alarms']} of {sums['good']} good parts raised a false alarm (promised: {ALPHA:.0%}):",
            reports.ordinary,
        ),
        (
            f"On {broken['run_date']:%d %b} {broken['unreadable']} files held no image: each became a row with the "
            "reason, and the night was completed:",
            reports.broken,
        ),
        (
            f"On {lamp['run_date']:%d %b} a lamp failed, and {lamp['false_alarms']} of {lamp['good']} good parts "
            f"raised an alarm. The drift report tells this from defects; its verdict: {reports.verdict}:",
            reports.drift,
        ),
    ]


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
