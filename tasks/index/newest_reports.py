"""The newest drift verdicts, evaluation figures and retraining reports of a plant."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, TypeVar

from reports.drift.verdicts import ACTIONS
from reports.index.plant import DriftInForce, LatestEvaluation
from storage.errors import KeyNotFound, StorageError
from storage.filesystem import Store
from storage.layout import folder_day, folder_days, path_from_index, reports_prefix
from tasks.index.tolerant_reads import FOREIGN, foreign, number, text, text_or_none

NEWEST_FOLDERS = 8
"""windows searched for a category that the newest report lacks"""
RETRAINING_DAYS = 31
FIGURES = ("image_auroc", "recall", "false_alarm_rate", "aupro_30")
_NO_REPORTS = "partitions"
"""folder within an evaluation with its counts"""

T = TypeVar("T")


@dataclass(frozen=True)
class _Document:
    """A report whose figures are not read yet."""

    key: str
    report: str
    """path of its HTML from the index page"""
    first_day: date
    last_day: date
    modified: datetime


@dataclass(frozen=True)
class Newest(Generic[T]):
    """The contents of the newest reports of a kind."""

    by_category: dict[str, T]
    not_assessed: tuple[tuple[str, str, str], ...]
    """(report, category, why), of the newest report only"""
    unreadable: dict[str, str]
    """reason, by key"""


def read_drift(
    store: Store, pool: Executor, categories: Sequence[str], last_night: date | None
) -> Newest[DriftInForce]:
    """Each category's newest verdict. Raises StorageError if the reports cannot be listed."""
    documents = _documents(store, pool, "drift", "drift.json", "drift.html", last_night)
    return _newest(store, documents, categories, _verdict, "name", "message")


def read_evaluations(
    store: Store, pool: Executor, categories: Sequence[str], last_night: date | None
) -> Newest[LatestEvaluation]:
    """Each category's newest figures. Raises StorageError if the reports cannot be listed."""
    documents = _documents(store, pool, "evaluation", "figures.json", "evaluation.html", last_night)
    return _newest(store, documents, categories, _figures, "partition", "why")


def read_retraining(store: Store, pool: Executor) -> dict[str, tuple[tuple[date, str], ...]]:
    """(day, report) of each category's retrainings, newest first. Raises StorageError if they cannot be listed."""
    names = [name for name in store.children(reports_prefix("retraining")) if folder_day(name)]
    prefixes = [reports_prefix("retraining", name) for name in sorted(names, reverse=True)[:RETRAINING_DAYS]]
    listed = pool.map(lambda prefix: list(store.list(prefix)), prefixes)
    by_category: defaultdict[str, list[tuple[date, str]]] = defaultdict(list)
    for prefix, infos in zip(prefixes, listed, strict=True):
        day = date.fromisoformat(prefix.rstrip("/").rpartition("/")[2])
        for info in sorted(infos, key=lambda info: info.modified, reverse=True):
            category, _, below = info.key.removeprefix(prefix).partition("/")
            if below.endswith(".html"):
                by_category[category].append((day, path_from_index(info.key)))
    return {category: tuple(reports) for category, reports in by_category.items()}


def _documents(
    store: Store, pool: Executor, kind: str, figures: str, page: str, last_night: date | None
) -> list[_Document]:
    """Newest first, by the last sealed day they cover, then by time of writing.

    A window beyond the last sealed day knows no more than one that ends there; otherwise one requested until the end
    of the year would precede all later ones.
    """
    windows = {name: days for name in store.children(reports_prefix(kind)) if (days := folder_days(name))}

    def known_until(last_day: date) -> date:
        return min(last_day, last_night) if last_night else last_day

    newest = sorted(windows, key=lambda name: (known_until(windows[name][1]), windows[name]), reverse=True)
    chosen = [reports_prefix(kind, name) for name in newest[:NEWEST_FOLDERS]]
    below = pool.map(store.children, chosen)
    prefixes = [
        (prefix, name)
        for name, top, folders in zip(newest, chosen, below, strict=False)
        for prefix in (top, *(f"{top}{folder}/" for folder in folders if folder != _NO_REPORTS))
    ]
    infos = pool.map(store.info, [f"{prefix}{page}" for prefix, _ in prefixes])  # written last
    documents = [
        _Document(f"{prefix}{figures}", path_from_index(info.key), *windows[name], info.modified)
        for (prefix, name), info in zip(prefixes, infos, strict=True)
        if info
    ]
    return sorted(documents, key=lambda document: (known_until(document.last_day), document.modified), reverse=True)


def _newest(
    store: Store,
    documents: Sequence[_Document],
    categories: Sequence[str],
    parse: Callable[[_Document, dict[str, Any]], T | None],
    what: str,
    why: str,
) -> Newest[T]:
    """Reads documents, newest first, until every category has one: mostly only the first."""
    newest: dict[str, T] = {}
    unreadable: dict[str, str] = {}
    failed: tuple[tuple[str, str, str], ...] | None = None
    for document in documents:
        if newest.keys() >= set(categories):
            break
        try:
            tree = json.loads(store.read(document.key))
            entries = list(tree["categories"])
            failures = tuple((document.report, text(failure[what]), text(failure[why])) for failure in tree["failed"])
        except KeyNotFound:
            continue
        except StorageError as e:
            unreadable[document.key] = str(e)
            continue
        except FOREIGN as e:
            unreadable[document.key] = foreign(e)
            continue
        failed = failures if failed is None else failed
        problems = list(_take(document, entries, parse, newest))
        if problems:
            unreadable[document.key] = problems[0]
    return Newest(newest, failed or (), unreadable)


def _take(
    document: _Document,
    entries: Sequence[Any],
    parse: Callable[[_Document, dict[str, Any]], T | None],
    newest: dict[str, T],
) -> Iterator[str]:
    """Add the document's categories to `found` unless a newer document has them; yields its faults."""
    mine: dict[str, T] = {}
    for entry in entries:
        try:
            category, value = text(entry["category"]), parse(document, entry)
        except FOREIGN as e:
            yield foreign(e)
            continue
        if value is not None:
            mine[category] = value
    newest |= {category: value for category, value in mine.items() if category not in newest}


def _verdict(document: _Document, entry: dict[str, Any]) -> DriftInForce:
    action, version = text_or_none(entry["verdict"]), text(entry["model_version"])
    if action is not None and action not in ACTIONS:
        raise ValueError(f"verdict {action!r} is not known")
    model = {text(model["model_version"]): model for model in entry["models"]}[version]
    assessment = model["assessment"]
    return DriftInForce(
        report=document.report,
        last_day=document.last_day,
        model_version=version,
        action=action,
        causes=tuple(text(cause["name"]) for cause in assessment["causes"]) if assessment else (),
        since=text_or_none(assessment["changed_since"]) if assessment else None,
        message=text_or_none(model["message"]),
    )


def _figures(document: _Document, entry: dict[str, Any]) -> LatestEvaluation | None:
    """None for a version that is not the category's latest."""
    if not entry["in_mean"]:
        return None
    values = {name: entry["figures"][name]["value"] for name in FIGURES if name in entry["figures"]}
    return LatestEvaluation(
        report=document.report,
        first_day=document.first_day,
        last_day=document.last_day,
        model_version=text(entry["model_version"]),
        figures={name: number(value) for name, value in values.items() if value is not None},
    )
