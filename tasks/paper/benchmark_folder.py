"""Benchmark folders of images with their ground truth, from the path of each file.

MVTec AD                                        one-class novelty
<category>/train/good/*                         train/<class>/*
<category>/test/good/*                          test/<class>/*
<category>/test/<kind>/*
<category>/ground_truth/<kind>/<stem>_mask.png
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rd_core.pictures.masks import mask_on_grid
from storage.errors import UnreadableImage
from storage.images import decode
from storage.stores.litter import is_litter
from tasks.importing.folder_files import Remark, list_files
from tasks.importing.folder_masks import MASKS_OF_NO_DEFECT, marked_by, with_masks
from tasks.importing.image_folder import MASKS, TEST, TRAIN, NotAnImageFolder, is_category_folder, read_folder

MVTEC_LAYOUT = "<category>/train/good/*, <category>/test/good/*, <category>/test/<kind>/*"
NOVELTY_LAYOUT = "train/<class>/* and test/<class>/*, with the same classes in both"


class BrokenImage(Exception):
    """An unusable image or mask. Without it no figure would be comparable."""


@dataclass(frozen=True)
class JudgedImage:
    """One test image with its ground truth."""

    path: Path
    is_anomalous: bool
    """by its folder"""
    masks: tuple[Path, ...] = ()
    """files whose marked pixels together are its defects"""


@dataclass(frozen=True)
class BenchmarkImages:
    """The training and test images of one model."""

    category: str
    root: Path
    """the folder of all categories"""
    train: tuple[Path, ...]
    """normal images, sorted"""
    test: tuple[JudgedImage, ...]
    """sorted by path"""

    def digest(self) -> str:
        """SHA-256, hex, over every file's role, path and content, independent of the folder's place"""
        total = hashlib.sha256()
        roles = [("train", path) for path in self.train]
        for image in self.test:
            roles.append((f"test {image.is_anomalous}", image.path))
            roles += [("mask", mask) for mask in image.masks]
        for role, path in roles:
            total.update(f"{role}\t{path.relative_to(self.root).as_posix()}\t{file_digest(path)}\n".encode())
        return total.hexdigest()


class DecodedImages:
    """Pixels by index, uint8 (H, W, 3) in each file's size, read and decoded on access."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return _pixels(self._paths[index])


def mvtec_categories(folder: Path, chosen: Collection[str] = ()) -> list[BenchmarkImages]:
    """The categories of a folder in the MVTec layout, sorted; only the `chosen` ones, if any.

    Raises NotAnImageFolder without a category, or for one that cannot be evaluated.
    """
    _require_folder(folder, MVTEC_LAYOUT)
    if is_category_folder(folder):
        raise NotAnImageFolder(
            f"{folder} is itself a category, so there is no category in it and nothing was computed. "
            f"Name the folder above and choose: {folder.resolve().parent} --category {folder.resolve().name}"
        )
    names = [path.name for path in _folders(folder) if is_category_folder(path)]
    if not names:
        raise NotAnImageFolder(
            f"{folder} has no category in it, so nothing was computed. It must hold {MVTEC_LAYOUT}."
        )
    return [_mvtec_category(folder, name) for name in _chosen(names, chosen, folder)]


def novelty_classes(folder: Path, chosen: Collection[str] = ()) -> list[BenchmarkImages]:
    """Each class in turn as the normal one, all others anomalous, sorted; only the `chosen` ones, if any.

    Raises NotAnImageFolder unless train/ and test/ have the same two or more classes.
    """
    _require_folder(folder, NOVELTY_LAYOUT)
    by_split = {split: {path.name: _files(path) for path in _folders(folder / split)} for split in ("train", "test")}
    trained, tested = ([name for name, files in by_split[split].items() if files] for split in ("train", "test"))
    if trained != tested or len(trained) < 2:
        raise NotAnImageFolder(
            f"{folder} has the classes {', '.join(trained) or 'none'} to train and {', '.join(tested) or 'none'} "
            f"to test, so novelty cannot be judged and nothing was computed. It must hold {NOVELTY_LAYOUT}."
        )
    return [
        BenchmarkImages(
            name,
            folder,
            train=tuple(by_split["train"][name]),
            test=tuple(JudgedImage(path, kind != name) for kind in tested for path in by_split["test"][kind]),
        )
        for name in _chosen(trained, chosen, folder)
    ]


def defects(image: JudgedImage, height: int, width: int) -> NDArray[np.bool_] | None:
    """An image's mask on the map's grid, bool (height, width); None without one. Raises BrokenImage."""
    if not image.masks:
        return None
    named = ", ".join(map(str, image.masks))
    try:
        marked = marked_by(image.masks)
    except (UnreadableImage, OSError) as e:
        raise BrokenImage(f"{named} cannot be read: {e}. Save the mask again, or remove it.") from e
    if marked is None:
        raise BrokenImage(
            f"{named} differ in size, so they cannot be laid on one image. Save them in the image's size."
        )
    if not marked.any():
        raise BrokenImage(
            f"{named} marks no pixel, but its image stands among the anomalous: its defect would count as "
            "defect-free. Correct the mask, or remove it to leave the image out of the pixel metrics."
        )
    return mask_on_grid(marked, height, width)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hex. Raises BrokenImage if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as e:
        raise BrokenImage(f"{path} cannot be read: {e}. Make it readable, or move it away if it is no image.") from e


def _mvtec_category(root: Path, name: str) -> BenchmarkImages:
    folder = root / name
    contents = read_folder(folder)
    images, unused = with_masks(contents)
    unknown = [Remark(image.place, "neither good nor a defect") for image in images if image.word == "unsure"]
    _refuse_left_out(folder, [*contents.left_out, *unknown])
    train = tuple(image.path for image in images if image.purpose == "training")
    test = tuple(
        JudgedImage(image.path, image.word == "anomalous", image.masks)
        for image in images
        if image.purpose == "evaluation"
    )
    normal = sum(not image.is_anomalous for image in test)
    if not train or not normal or normal == len(test):
        raise NotAnImageFolder(
            f"{folder} has {len(train)} images in train/good, {normal} in test/good and {len(test) - normal} in "
            "other folders of test/; without some of each there is no AUROC, and nothing was computed. Complete the "
            "folder, or leave it out: name the others with --category."
        )
    _refuse_left_out(folder, [image for image in unused if image.why != MASKS_OF_NO_DEFECT])
    return BenchmarkImages(name, root, train, test)


def _refuse_left_out(folder: Path, left_out: Sequence[Remark]) -> None:
    """Entries beside train/, test/ and ground_truth/ are ignored; all files within must belong to the benchmark."""
    within = [remark for remark in left_out if remark.path.partition("/")[0].lower() in {TRAIN, TEST, MASKS}]
    if within:
        raise NotAnImageFolder(
            f"{folder}/{within[0].path} cannot be placed ({within[0].why}), nor can {len(within) - 1} others. A "
            "figure without them could not be compared with anyone's, so nothing was computed. Correct or move them."
        )


def _pixels(path: Path) -> NDArray[np.uint8]:
    try:
        return decode(path.read_bytes())
    except (UnreadableImage, OSError) as e:
        raise BrokenImage(
            f"{path} cannot be read: {e}. A figure without it could not be compared with anyone's; replace the file, "
            "or move it away if it is no image."
        ) from e


def _chosen(names: list[str], chosen: Collection[str], folder: Path) -> list[str]:
    for name in chosen:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise NotAnImageFolder(
                f"{folder} has no category {name!r}, so nothing was computed. {hint}There are: {', '.join(names)}."
            )
    return [name for name in names if name in chosen] if chosen else names


def _require_folder(folder: Path, layout: str) -> None:
    if not folder.is_dir():
        raise NotAnImageFolder(f"{folder} is not a folder, so nothing was computed. Name one that holds {layout}.")


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir() and not is_litter(f"{path.name}/"))


def _files(folder: Path) -> list[Path]:
    listing = list_files(folder)
    place = f"{folder.parent.name}/{folder.name}"
    _refuse_left_out(
        folder.parent.parent, [Remark(f"{place}/{remark.path}", remark.why) for remark in listing.left_out]
    )
    return list(listing.files.values())
