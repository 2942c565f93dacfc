"""Checks label files, and labels against the images."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date

from storage import layout
from storage.errors import AccessDenied, StorageError, StoreNotFound, TransientFault
from storage.findings import Finding
from storage.images import list_images
from storage.labels import labels
from storage.labels.known_images import Names
from storage.labels.labels import Label
from storage.records import ObjectInfo
from storage.stores.store import Store

_FAULTS = (TransientFault, AccessDenied, StoreNotFound)


def label_findings(
    store: Store, images: Store, covers_category: Callable[[str], bool], covers: Callable[[str, date], bool]
) -> Iterator[Finding]:
    """Unreadable files, impossible times, labels without an image on the covered days, files that nobody reads."""
    for category in filter(covers_category, labels.list_label_categories(store)):
        by_file: dict[str, list[Label]] = {}
        for info in labels.label_files(store, category):
            try:
                by_file[info.key] = labels.read_label_file(store, info)
                yield from _impossible_times(store, info)
            except _FAULTS:
                raise
            except StorageError as e:
                lost = "nothing of the category can be trained or evaluated, and queries go on without the file"
                why = str(e).removeprefix(store.address(info.key)).lstrip(", ")  # the finding names the file itself
                yield Finding(f"labels cannot be read: {why}", info.key, lost, "Correct or remove the file.")
        yield from _without_image(images, category, by_file, covers)
    for key in labels.unread_label_keys(store):
        if covers_category(key.split("/")[1]):
            cure = "Bring it in with rd-inspect labels, or move it away."
            yield Finding(f"{key} is not a label file", key, "its contents are ignored", cure, wrong=False)


def _impossible_times(store: Store, info: ObjectInfo) -> Iterator[Finding]:
    wrong = labels.impossible_times(store, info)
    if wrong:
        yield Finding(
            f"{len(wrong)} labels with impossible times, such as {wrong[0].labelled_at.isoformat()} of "
            f"{wrong[0].image_key!r}",
            info.key,
            "the time of writing the file counts instead, so a copy of the file would overrule later labels",
            "Correct labelled_at (in UTC) and import the file: rd-inspect labels.",
        )


def _without_image(
    images: Store, category: str, by_file: dict[str, list[Label]], covers: Callable[[str, date], bool]
) -> Iterator[Finding]:
    by_day: defaultdict[date | None, set[str]] = defaultdict(set)
    for words in by_file.values():
        for label in words:
            by_day[layout.production_day(label.image_key)].add(label.image_key)
    missing, called = set(by_day.pop(None, ())), {}
    for day, keys in by_day.items():
        if day is None or not covers(category, day):
            continue
        names = Names(info.key for info in list_images(images, category, day))
        for key in keys - names.keys:
            missing.add(key)
            called[key] = names.find(key)
    for file, words in by_file.items():
        lost = sorted({label.image_key for label in words} & missing)
        if lost:
            yield _finding(file, lost, [called[key][0] for key in lost if called.get(key)])


def _finding(file: str, lost: list[str], called: Iterable[str]) -> Finding:
    what = f"{len(lost)} labels are of images that are not there, such as {lost[0]!r}"
    same = next(iter(called), None)
    if same is None:
        cure = "None is needed if the images were archived; else correct image_key."
        return Finding(what, file, "they count nowhere", cure, wrong=False)
    what += f"; the image {same!a} has that name with accents written in another way"
    return Finding(what, file, "its labels are ignored", "Move the file away and import it: rd-inspect labels.")
