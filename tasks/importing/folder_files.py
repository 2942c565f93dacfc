"""Files below a local folder, and the facts in their names."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from storage.stores.litter import is_litter
from storage.stores.store import RESERVED

_MASK = r"(?:mask|gt|ground[ _-]?truth|label|seg(?:mentation)?|anno(?:tation)?)s?"
_MASK_BEHIND = re.compile(rf"(.+?)[ _.-]+{_MASK}(?:[ _.-]?\d+)?")
_MASK_BEFORE = re.compile(rf"{_MASK}[ _.-]+(.+)")


@dataclass(frozen=True)
class Remark:
    """A file and a remark about it."""

    path: str
    """below the folder, with '/', printable"""
    why: str
    """the same words for all files with the same reason"""


@dataclass
class Listing:
    """Everything below a folder; links are followed."""

    files: dict[str, Path] = field(default_factory=dict)
    """usable files by path below the folder, with '/', unchanged, in order"""
    left_out: list[Remark] = field(default_factory=list)
    """empty and unreadable files, dead links, names that no key can have"""
    litter: list[str] = field(default_factory=list)
    """paths of litter (storage.stores.litter), printable"""


def list_files(folder: Path) -> Listing:
    """All files below `folder`, at any depth, unopened."""
    listing = Listing()
    _walk(folder, "", (), listing)
    return listing


def shown(name: str) -> str:
    """A path as printable text."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def marked_stems(stem: str) -> Iterator[str]:
    """Lower-case stems of images that a mask of this stem may belong to, likeliest first: equal, or with a word for
    mask before or behind."""
    yield stem
    for form in (_MASK_BEHIND, _MASK_BEFORE):
        if named := form.fullmatch(stem):
            yield named[1]


def without_suffix(name: str) -> str:
    """A path with '/' without its last suffix."""
    folder, slash, file = name.rpartition("/")
    stem, dot, _ = file.rpartition(".")
    return f"{folder}{slash}{stem}" if dot and stem else name


def _walk(folder: Path, at: str, above: tuple[str, ...], listing: Listing) -> None:
    """Add the files below `folder`, whose path is `at`; `above`: the real folders on the way."""
    real = os.path.realpath(folder)
    if real in above:
        listing.left_out.append(Remark(shown(at), "links to a folder that holds them"))
        return
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as e:
        listing.left_out.append(Remark(shown(at), f"folders that cannot be read ({e.strerror})"))
        return
    for name in names:
        place, path = at + name, folder / name
        try:
            is_folder = path.is_dir()
            if is_litter(f"{name}/" if is_folder else name):
                listing.litter.append(shown(place))
            elif is_folder and not _why_no_name(name):
                _walk(path, f"{place}/", (*above, real), listing)
            elif why := _why_no_name(name) or _why_no_file(path):
                listing.left_out.append(Remark(shown(place), why))
            else:
                listing.files[place] = path
        except OSError as e:
            listing.left_out.append(Remark(shown(place), f"cannot be read ({e.strerror})"))


def _why_no_name(name: str) -> str | None:
    if "\\" in name or not name.isprintable() or name.startswith(RESERVED):
        return "names that no key can have (backslash, control characters, no UTF-8): rename them"
    return None


def _why_no_file(path: Path) -> str | None:
    if not path.is_file():
        return "links that lead nowhere" if path.is_symlink() else "no files (pipes, sockets or devices)"
    return "empty files" if path.stat().st_size == 0 else None
