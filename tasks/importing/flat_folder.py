"""A folder of images with a table of labels in place of train/ and test/.

Images lie in the folder, or in subfolders by day, class or camera. A row names an image by its path below the folder,
a full path, or a bare name that is unique. A row without an image is reported; an image without a row is imported
without a label.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.importing.folder_files import Remark, list_files, shown
from tasks.importing.folder_masks import MASKS_OF_NO_DEFECT
from tasks.importing.image_folder import (
    FolderImage,
    ImageFolder,
    NotAnImageFolder,
    holds_no_pictures,
    is_category_folder,
    read_folder,
    refuse_no_folder,
    set_masks_apart,
)

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_FROM_A_ROOT = re.compile(r"/|[A-Za-z]:/|[a-z][a-z0-9]*://")
"""start of a full path, on any system"""
_NAMED = 3

Row = Mapping[str, Any]
"""a row of storage.labels.labels.rows_in"""


@dataclass
class FlatFolder:
    """The contents of the folder, and the rows of each image."""

    contents: ImageFolder = field(default_factory=ImageFolder)
    """images with the masks that the table names; left-out files and rows"""
    noted: list[Remark] = field(default_factory=list)
    place_of: dict[str, str] = field(default_factory=dict)
    """path of an image below the folder, by its name in the table"""


def read_flat_folder(folder: Path, table: Path, rows: Sequence[Row]) -> FlatFolder:
    """The contents of `folder`, from names and the `rows` of the file `table`.

    Raises NotAnImageFolder if it is no such folder, or the table belongs to another.
    """
    refuse_no_folder(folder)
    if is_category_folder(folder) and read_folder(folder).images:
        raise NotAnImageFolder(
            f"{folder} has train/ or test/, whose folders say which images are good, so a table could contradict "
            "them and nothing was taken. Leave --table out, or name a folder within."
        )
    listing = list_files(folder)
    files = {unicodedata.normalize("NFC", place): path for place, path in listing.files.items()}
    files = {place: path for place, path in files.items() if not (table.exists() and path.samefile(table))}
    flat = FlatFolder(ImageFolder(left_out=listing.left_out, litter=listing.litter))
    masks = _Masks(_Names(folder, files), files)
    taken = masks.places(rows)
    _place_rows(flat, _Names(folder, [place for place in files if place not in taken]), rows)
    _refuse_another_table(folder, table, flat, rows)
    named = set(flat.place_of.values())
    of_image: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        of_image[flat.place_of.get(row["image_key"], "")].append(row)
    for place in sorted(set(files) - taken):
        words = {row["label"] for row in of_image[place]}
        flat.contents.images.append(
            FolderImage(
                files[place],
                place,
                word=words.pop() if len(words) == 1 else None,
                purpose="evaluation",
                masks=masks.of(of_image[place], flat.contents.left_out),
                flat=True,
            )
        )
    _leave_out_data(flat.contents, named)
    why = "in folders that are named like days, and all of --run-date: for days of their own import each folder"
    flat.noted += [Remark(shown(image.name), why) for image in flat.contents.images if _DAY.match(image.name)]
    return flat


def _leave_out_data(folder: ImageFolder, named: Collection[str]) -> None:
    """Masks and other data that no row names."""
    why = "in folders of masks or other data among the images"
    unnamed = (image.name for image in folder.images if image.name not in named)
    data = {name for name in unnamed if holds_no_pictures(name.split("/")[:-1])}
    folder.left_out += [Remark(shown(name), why) for name in sorted(data)]
    folder.images = [image for image in folder.images if image.name not in data]
    set_masks_apart(folder, named)


def _place_rows(flat: FlatFolder, names: "_Names", rows: Iterable[Row]) -> None:
    guessed: dict[str, str] = {}
    for called in dict.fromkeys(row["image_key"] for row in rows):
        places, by_name = names.find(called)
        if len(places) == 1:
            flat.place_of[called] = places[0]
            if (other := guessed.setdefault(places[0], called) if by_name else called) != called:
                raise NotAnImageFolder(
                    f"the table's {other!r} and {called!r} would both be {places[0]}, so nothing was imported. Give "
                    "names below the folder."
                )
        else:
            what = "that fit several images" if places else "without an image"
            flat.contents.left_out.append(Remark(shown(called), f"names in the table {what}"))


def _refuse_another_table(folder: Path, table: Path, flat: FlatFolder, rows: Sequence[Row]) -> None:
    if rows and not flat.place_of:
        called = ", ".join(shown(row["image_key"]) for row in rows[:_NAMED])
        raise NotAnImageFolder(
            f"none of the {len(rows)} rows of {table} names an image of {folder} (they name: {called}), so nothing "
            "was imported. Names are those below the folder: name another folder, or the right column by --column "
            "image=HEADING."
        )


class _Masks:
    """The masks named in the table."""

    def __init__(self, names: "_Names", files: Mapping[str, Path]) -> None:
        self._names = names
        self._files = files

    def places(self, rows: Iterable[Row]) -> set[str]:
        """Their paths below the folder."""
        return {place for row in rows if row["mask_key"] for place in self._names.find(row["mask_key"])[0]}

    def of(self, rows: Iterable[Row], left_out: list[Remark]) -> tuple[Path, ...]:
        """The usable rows of one image; others are added to `left_out`."""
        masks = {}
        for row in rows:
            called = row["mask_key"]
            places = self._names.find(called)[0] if called else []
            if called and row["label"] != "anomalous":
                left_out.append(Remark(shown(called), MASKS_OF_NO_DEFECT))
            elif called and len(places) != 1:
                left_out.append(Remark(shown(called), "masks in the table that do not exist, or exist several times"))
            elif called:
                masks[places[0]] = self._files[places[0]]
        return tuple(masks.values())


class _Names:
    """Files below a folder by the names a table gives them."""

    def __init__(self, folder: Path, places: Iterable[str]) -> None:
        self._above = [unicodedata.normalize("NFC", part) for part in folder.absolute().parts]
        self._places = set(places)
        self._any_case: dict[str, list[str]] = defaultdict(list)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for place in sorted(self._places):
            self._any_case[place.casefold()].append(place)
            self._by_name[place.rpartition("/")[2].casefold()].append(place)

    def find(self, called: str) -> tuple[list[str], bool]:
        """(possible paths, whether they were found by the bare name alone)."""
        path = unicodedata.normalize("NFC", called.strip()).replace("\\", "/")
        segments = [segment for segment in path.split("/") if segment not in ("", ".")]
        inner = ["/".join(segments[start:]) for start in range(len(segments)) if self._is_above(segments[:start])]
        for place in inner:
            if place in self._places:
                return [place], False
        for place in inner:
            if place.casefold() in self._any_case:
                return self._any_case[place.casefold()], False
        if segments and (len(segments) == 1 or _FROM_A_ROOT.match(path)):
            return self._by_name.get(segments[-1].casefold(), []), True
        return [], False

    def _is_above(self, segments: Sequence[str]) -> bool:
        """Whether these folders lead to this one."""
        return not segments or self._above[-len(segments) :] == list(segments)
