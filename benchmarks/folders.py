"""Folders of real parts in MVTec's layout: how benchmarks import them, and which test images report."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from rd_core.calibration.holdout import parts_of
from storage.filesystem import Store
from storage.layout import SETTINGS_KEY
from tasks.importing.folder_masks import with_masks
from tasks.importing.image_folder import FolderImage, read_folder
from tasks.importing.import_folder import ImportRequest, import_images, plan_import

DAY = date(2026, 1, 2)
PART_PATTERNS = {
    # One tile is photographed under exposures 1 to 6 in turn: a new tile begins where the exposure does not rise.
    "magnetic_tile": r"exp(?P<view>\d+)_num_(?P<serial>\d+)",
    "kolektorsdd": r"(?P<part>kos\d+)_",
    # A board's template and its tested picture have one number.
    "pcb": r"(?P<part>\d+)\.",
}
"""by the folder's name, or what it begins with up to '_'; elsewhere each picture is a part"""


class TestHalves(NamedTuple):
    """The images of test/, by whole parts, the same halves for every method and seed."""

    choosing: list[FolderImage]
    """may be looked at to choose settings"""
    reporting: list[FolderImage]


def import_category(
    store: Store, folder: Path, method: str, seed: int, settings: Sequence[str] = (), view: Sequence[str] = ()
) -> None:
    """Import the folder as a category of its name; `settings`: lines of the method's table, `view`: of the
    category's, whose image size follows its images unless a line says it."""
    pattern = part_pattern(folder.name)
    lines = ["[defaults]", f'method = "{method}"', f"seed = {seed}", *view]
    lines += [f"part_pattern = '{pattern}'"] if pattern else []
    lines += [f"[defaults.{method}]", *settings]
    store.write(SETTINGS_KEY, "\n".join(lines).encode())
    request = ImportRequest(folder, folder.name, DAY, DAY - timedelta(days=1))
    import_images(store, plan_import(store, request, read_folder(folder), datetime.now(UTC)))


def part_pattern(name: str) -> str | None:
    """The part pattern of a folder of this name."""
    return PART_PATTERNS.get(name, PART_PATTERNS.get(name.split("_", maxsplit=1)[0]))


def halves_of_test(folder: Path) -> TestHalves:
    """The images of test/ with a label, halved by the parts' hashes."""
    images, _ = with_masks(read_folder(folder))
    tested = [image for image in images if image.purpose == "evaluation" and image.word != "unsure"]
    pattern = part_pattern(folder.name)
    # Without a pattern, good/ and defect/ may both count from one.
    parts = [image.name for image in tested] if pattern is None else parts_of([i.path.name for i in tested], pattern)
    ranked = sorted(set(parts), key=lambda part: hashlib.sha256(part.encode()).digest())
    reporting = set(ranked[len(ranked) // 2 :])
    halves = TestHalves([], [])
    for image, part in zip(tested, parts, strict=True):
        halves[part in reporting].append(image)
    return halves
