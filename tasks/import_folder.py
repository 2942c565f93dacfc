"""An MVTec-layout folder as images, labels and masks of a store.

train/good/<name>                       labelled normals of an earlier day
test/good/<name>                        that day's image good/<name>, normal, to judge models by
test/<kind>/<name>                      that day's image <kind>/<name>, anomalous
ground_truth/<kind>/<stem>_mask.png     its mask
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from storage import labels, layout
from storage.filesystem import Store
from storage.labels import Label

WRITERS = 8
"""threads; each waits for the store most of the time"""


class NotAnImageFolder(Exception):
    """The folder does not have the MVTec layout."""


@dataclass(frozen=True)
class FoundImage:
    """One file to import."""

    source: Path
    key: str
    label: str
    purpose: str
    """training, or evaluation: what a test folder holds must not be trained on"""
    kind: str | None = None
    mask: Path | None = None
    mask_key: str | None = None


def find_images(folder: Path, category: str, run_date: date, normals_date: date) -> list[FoundImage]:
    """What `folder` holds, sorted. Raises NotAnImageFolder when there is neither train/good nor test/."""
    if not (folder / "train" / "good").is_dir() and not (folder / "test").is_dir():
        raise NotAnImageFolder(
            f"{folder} has neither train/good/ nor test/, so nothing was imported. Name the folder of one category "
            "in the MVTec layout: train/good/*, test/<kind>/*, ground_truth/<kind>/*_mask.png."
        )
    found = [
        FoundImage(path, layout.image_key(category, normals_date, f"good/{path.name}"), "normal", "training")
        for path in _files(folder / "train" / "good")
    ]
    for kind_folder in sorted(path for path in (folder / "test").glob("*") if path.is_dir()):
        found += [_test_image(folder, path, category, run_date) for path in _files(kind_folder)]
    return found


def import_images(
    store: Store,
    category: str,
    found: Iterable[FoundImage],
    *,
    labelled_at: datetime,
) -> str:
    """Write images and masks, then the labels: the key of the label file. What is there already stays untouched."""

    def write(one: FoundImage) -> Label:
        _write_if_new(store, one.key, one.source.read_bytes())
        if one.mask is not None and one.mask_key is not None:
            _write_if_new(store, one.mask_key, one.mask.read_bytes())
        return Label(one.key, one.label, one.mask_key, "import", labelled_at, one.kind, one.purpose)

    with ThreadPoolExecutor(WRITERS) as pool:
        written = list(pool.map(write, found))
    days = sorted({label.image_key.split("/")[2] for label in written})
    return labels.write_labels(store, category, written, f"import-{'-'.join(days)}")


def _write_if_new(store: Store, key: str, data: bytes) -> None:
    """An image that is there already stays untouched: a new etag would have it scored again."""
    there = store.info(key)
    if there is None or there.size != len(data) or store.read(key) != data:
        store.write(key, data)


def _test_image(folder: Path, path: Path, category: str, run_date: date) -> FoundImage:
    kind = path.parent.name
    key = layout.image_key(category, run_date, f"{kind}/{path.name}")
    if kind == "good":
        return FoundImage(path, key, "normal", "evaluation")
    mask = folder / "ground_truth" / kind / f"{path.stem}_mask.png"
    if not mask.is_file():
        return FoundImage(path, key, "anomalous", "evaluation", kind)
    return FoundImage(
        path, key, "anomalous", "evaluation", kind, mask, layout.mask_key(category, run_date, f"{kind}/{mask.name}")
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith("."))
