"""Duplicates in a folder: they count twice, and their labels may differ."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path

from tasks.importing.folder_files import Remark, shown
from tasks.importing.image_folder import FolderImage

_BEGINNING = 65536
"""bytes that distinguish nearly all images of one size, so that few are read whole"""


def twins(images: Iterable[FolderImage]) -> list[Remark]:
    """Remarks about images with the same bytes as another one. Raises OSError."""
    remarks = []
    for same_size in _alike(images, lambda path: path.stat().st_size):
        for same_beginning in _alike(same_size, _beginning):
            for same in _alike(same_beginning, lambda path: hashlib.sha256(path.read_bytes()).digest()):
                remarks += [Remark(shown(image.place), _why(same)) for image in same[1:]]
    return remarks


def _why(same: list[FolderImage]) -> str:
    if len({image.word for image in same}) > 1:
        return f"the same picture as {shown(same[0].place)}, with another label: one of them is wrong"
    return "the same picture as another one, so that it counts twice"


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_BEGINNING)


def _alike(images: Iterable[FolderImage], feature: Callable[[Path], Hashable]) -> Iterator[list[FolderImage]]:
    groups: dict[Hashable, list[FolderImage]] = defaultdict(list)
    for image in images:
        groups[feature(image.path)].append(image)
    return (group for group in groups.values() if len(group) > 1)
