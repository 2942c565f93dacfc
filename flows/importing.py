"""Importing a folder of images: no flow, for it needs neither workers nor retries, only the store."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track

from storage.filesystem import open_store
from tasks.import_folder import find_images, import_images


@dataclass(frozen=True)
class Imported:
    """What was brought in."""

    normals: int
    """labelled normals to train on"""
    test: int
    """images of the run date"""
    anomalous: int
    masks: int


def import_category(store: str, folder: Path, category: str, run_date: date, normals_date: date) -> Imported:
    """Import `folder` (see tasks.import_folder) into `store`; a local folder that is not there is made."""
    found = find_images(folder, category, run_date, normals_date)
    with_bar = iter(
        track(
            found,
            f"import {category}",
            console=Console(stderr=True),
            disable=not Console(stderr=True).is_terminal,
        )
    )
    import_images(open_store(store, create=True), category, with_bar, labelled_at=datetime.now(UTC))
    test = [one for one in found if one.key.split("/")[2] == run_date.isoformat()]
    return Imported(
        normals=len(found) - len(test),
        test=len(test),
        anomalous=sum(one.label == "anomalous" for one in test),
        masks=sum(one.mask is not None for one in test),
    )
