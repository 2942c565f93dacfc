"""Files below a folder of this machine, as people and systems left them there, and what their names tell."""

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
    """A file, and what is to be said of it."""

    path: str
    """below the folder, with '/', as text that can be printed"""
    why: str
    """the same words for all files that share the reason"""


@dataclass
class Listing:
    """All that lies below a folder; links are followed."""

    files: dict[str, Path] = field(default_factory=dict)
    """that can be taken, by place: the path below the folder, with '/', as it is; in order"""
    left_out: list[Remark] = field(default_factory=list)
    """empty and unreadable files, links that lead nowhere, names no key of a store can have"""
    litter: list[str] = field(default_factory=list)
    """places of what systems leave behind (storage.stores.litter), as text that can be printed"""


def list_files(folder: Path) -> Listing:
    """What lies below `folder`, at any depth; no file is opened."""
    found = Listing()
    _walk(folder, "", (), found)
    return found


def shown(name: str) -> str:
    """A path as text that every terminal and log can take."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def marked_stems(stem: str) -> Iterator[str]:
    """Stems of the images that a mask of this stem may be of, the likeliest first: the same, or one with a word for
    mask before or behind it. All in lower case."""
    yield stem
    for form in (_MASK_BEHIND, _MASK_BEFORE):
        if named := form.fullmatch(stem):
            yield named[1]


def without_suffix(name: str) -> str:
    """A path with '/' without its last suffix."""
    folder, slash, file = name.rpartition("/")
    stem, dot, _ = file.rpartition(".")
    return f"{folder}{slash}{stem}" if dot and stem else name


def _walk(folder: Path, at: str, above: tuple[str, ...], found: Listing) -> None:
    """Add what lies below `folder`, whose place is `at`; `above` are the real folders we came through."""
    real = os.path.realpath(folder)
    if real in above:
        found.left_out.append(Remark(shown(at), "links to a folder that holds them"))
        return
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as e:
        found.left_out.append(Remark(shown(at), f"folders that cannot be read ({e.strerror})"))
        return
    for name in names:
        place, path = at + name, folder / name
        try:
            is_folder = path.is_dir()
            if is_litter(f"{name}/" if is_folder else name):
                found.litter.append(shown(place))
            elif is_folder and not _why_no_name(name):
                _walk(path, f"{place}/", (*above, real), found)
            elif why := _why_no_name(name) or _why_no_file(path):
                found.left_out.append(Remark(shown(place), why))
            else:
                found.files[place] = path
        except OSError as e:
            found.left_out.append(Remark(shown(place), f"cannot be read ({e.strerror})"))


def _why_no_name(name: str) -> str | None:
    if "\\" in name or not name.isprintable() or name.startswith(RESERVED):
        return "names that no key can have (backslash, control characters, no UTF-8): rename them"
    return None


def _why_no_file(path: Path) -> str | None:
    if not path.is_file():
        return "links that lead nowhere" if path.is_symlink() else "no files (pipes, sockets or devices)"
    return "empty files" if path.stat().st_size == 0 else None
