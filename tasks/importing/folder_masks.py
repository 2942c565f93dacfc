"""Matching of masks in ground_truth/ to images, under many naming conventions; an image may have several.

These are masks of test/hole/000.png, together:

ground_truth/hole/000_mask.png          also .PNG, .bmp, 000_MASK, 000-gt, mask_000, 000_mask_2
ground_truth/hole/000.png               also 000.png.bmp
ground_truth/hole/000/*.png             a folder for each image
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from storage.images import decode_mask
from tasks.importing.folder_files import Remark, marked_stems, shown, without_suffix
from tasks.importing.image_folder import MASKS, FolderImage, ImageFolder

MASKS_OF_NO_DEFECT = "masks of images that are no defects"


def with_masks(folder: ImageFolder) -> tuple[list[FolderImage], list[Remark]]:
    """Images with their masks, and masks that are left out."""
    by_name: dict[str, list[int]] = defaultdict(list)
    for index, image in enumerate(folder.images):
        if image.purpose == "evaluation":
            name = image.name.casefold()
            for called in {name, without_suffix(name)}:
                by_name[called].append(index)
    masks: dict[int, list[Path]] = defaultdict(list)
    left_out = []
    for place, path in sorted(folder.masks.items()):
        owners = next((by_name[name] for name in _possible_images(place) if name in by_name), [])
        if why := _why_unused([folder.images[index] for index in owners]):
            left_out.append(Remark(shown(f"{MASKS}/{place}"), why))
        else:
            masks[owners[0]].append(path)
    images = [
        replace(image, masks=image.masks or tuple(masks.get(index, ()))) for index, image in enumerate(folder.images)
    ]
    return images, left_out


def marked_by(masks: Sequence[Path]) -> NDArray[np.bool_] | None:
    """The union of the masks, bool [H, W]; None if their sizes differ. Raises UnreadableImage, OSError."""
    marked: NDArray[np.bool_] | None = None
    for path in masks:
        mask = decode_mask(path.read_bytes())
        if marked is not None and marked.shape != mask.shape:
            return None
        marked = mask if marked is None else marked | mask
    return marked


def _possible_images(place: str) -> Iterator[str]:
    """Names of images, with or without suffix, that a mask at this path may belong to; likeliest first."""
    path = PurePosixPath(without_suffix(place.casefold()))
    folder = path.parent
    yield from (str(folder / stem) for stem in marked_stems(path.name))
    yield from (str(folder.parent / stem) for stem in marked_stems(folder.name))


def _why_unused(owners: Sequence[FolderImage]) -> str | None:
    if not owners:
        return "masks without an image"
    if len(owners) > 1:
        return "masks that fit several images, whose names differ only in their suffixes"
    if owners[0].word != "anomalous":
        return MASKS_OF_NO_DEFECT
    return None
