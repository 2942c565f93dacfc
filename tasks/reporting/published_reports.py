"""Publishing reports with links to and from their neighbours."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache

from prefect.logging import get_run_logger

from reports.around import Around, linked
from storage.errors import Conflict, StorageError
from storage.filesystem import Store
from storage.layout import INDEX_KEY, folder_day, folder_days, path_from_index, reports_prefix

INSPECTION, EVALUATION, DRIFT, RETRAINING = "inspection", "evaluation", "drift", "retraining"
KINDS = {INSPECTION: "run report", EVALUATION: "evaluation", DRIFT: "drift", RETRAINING: "retraining"}
_FURTHEST = 8
"""earlier or later days searched for a report of the same categories"""
_MOST_OF_A_DAY = 24
"""linked reports of a kind; many categories may be retrained on one day"""


@dataclass(frozen=True)
class Filed:
    """A report's page in the store."""

    kind: str
    day: date
    """its last day"""
    days: int
    """its first day"""
    of: str
    """its categories in its folder's name; '' for the whole plant"""
    key: str
    modified: datetime

    @property
    def path(self) -> str:
        return path_from_index(self.key)


def publish_report(store: Store, kind: str, day: date, key: str, html: str) -> None:
    """Write the page of a report that ends with `day`, then set its links and those of its neighbours.

    A neighbour that is unreadable or being written keeps its links. Raises StorageError if the page cannot be
    written.
    """
    store.write(key, html.encode("utf-8"))
    link_day(store, day, kind)


def publish_again(store: Store, kind: str, day: date, key: str) -> None:
    """As `publish_report` for an existing valid report, which becomes the last written one.

    A page being written by another is left to it. Raises StorageError if the page cannot be written.
    """
    html, etag = store.read_with_etag(key)
    with contextlib.suppress(Conflict):
        store.replace(key, html, etag)
    link_day(store, day, kind)


def link_day(store: Store, day: date, kind: str | None = None) -> None:
    """Set the links of the reports that end with `day`, and of those of `kind` (None: any) before and after them."""
    try:
        shelf = Shelf(store)
        wanted = {report.key: report for name in KINDS for report in shelf.of_day(name, day)}
        for report in tuple(wanted.values()):
            if kind in (None, report.kind):
                beside = [other.day for other in (shelf.before(report), shelf.after(report)) if other]
                wanted |= {other.key: other for other_day in beside for other in shelf.of_day(report.kind, other_day)}
        for report in sorted(
            wanted.values(), key=lambda report: report.modified
        ):  # so that the newest stays the newest
            _relink(store, report, shelf.around(report))
    except StorageError as e:  # the report itself is there
        get_run_logger().warning("links of reports not set day=%s: %s", day, e)


def _relink(store: Store, report: Filed, around: Around) -> None:
    try:
        html, etag = store.read_with_etag(report.key)
        page = linked(html, report.path, around)
        if page != html:
            store.replace(report.key, page, etag)
    except StorageError as e:
        get_run_logger().warning("links not set report=%s: %s", report.key, e)


class Shelf:
    """The reports of a store, looked up on demand."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.folders: Callable[[str], dict[date, list[str]]] = cache(self._folders)
        self.of_day: Callable[[str, date], list[Filed]] = cache(self._of_day)
        self._index = cache(lambda: path_from_index(INDEX_KEY) if store.info(INDEX_KEY) else "")

    def newest(self, kind: str, day: date) -> list[Filed]:
        """The reports of that kind and day, one for each choice of categories, that of all first: evaluations of the
        day alone, drift of the longest window; of the same days the last written."""
        sign, last = 1 if kind == DRIFT else -1, {}
        for report in sorted(self.of_day(kind, day), key=lambda report: (sign * report.days, report.modified)):
            last[report.of] = report
        return [last[of] for of in sorted(last)]

    def before(self, report: Filed) -> Filed | None:
        """The last report of the kind and categories before the day."""
        return self._nearest(
            report, sorted((day for day in self.folders(report.kind) if day < report.day), reverse=True)
        )

    def after(self, report: Filed) -> Filed | None:
        """The first report of the kind and categories after the day."""
        return self._nearest(report, sorted(day for day in self.folders(report.kind) if day > report.day))

    def around(self, report: Filed) -> Around:
        previous, following = self.before(report), self.after(report)
        return Around(
            index=self._index(),
            previous=(str(previous.day), previous.path) if previous else ("", ""),
            next=(str(following.day), following.path) if following else ("", ""),
            same_day=tuple(self.of_other_kinds(report.day, report.kind)),
        )

    def of_other_kinds(self, day: date, than: str) -> Iterator[tuple[str, str]]:
        """(in words, path) of the day's reports of other kinds."""
        for kind in KINDS:
            if kind != than:
                filed = self.newest(kind, day)
                whole = [report for report in filed if not report.of]
                yield from ((_words(report), report.path) for report in whole[:1] or filed)

    def _nearest(self, report: Filed, days: list[date]) -> Filed | None:
        for day in days[:_FURTHEST]:
            alike = [other for other in self.newest(report.kind, day) if other.of == report.of]
            if alike:
                return alike[0]
        return None

    def _folders(self, kind: str) -> dict[date, list[str]]:
        """The folders of a kind's reports by their last day."""
        folders: dict[date, list[str]] = {}
        for name in self._store.children(reports_prefix(kind)):
            last = folder_day(name) if kind in (INSPECTION, RETRAINING) else (folder_days(name) or (None, None))[1]
            if last:
                folders.setdefault(last, []).append(name)
        return folders

    def _of_day(self, kind: str, day: date) -> list[Filed]:
        """The newest of them."""
        reports: list[Filed] = []
        for folder in self.folders(kind).get(day, ()):
            prefix = reports_prefix(kind, folder)
            days = folder_days(folder)
            for info in self._store.list(prefix):
                if info.key.endswith(".html"):
                    of, _, _ = info.key.removeprefix(prefix).rpartition("/")
                    length = (days[1] - days[0]).days + 1 if days else 1
                    reports.append(Filed(kind, day, length, of.partition("/")[0], info.key, info.modified))
        return sorted(reports, key=lambda report: report.modified, reverse=True)[:_MOST_OF_A_DAY]


def _words(report: Filed) -> str:
    return f"{KINDS[report.kind]} of {report.of.removeprefix('only-')}" if report.of else KINDS[report.kind]
