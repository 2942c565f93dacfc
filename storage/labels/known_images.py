"""The images of one category under the names that people's tools give them."""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import parse_qs, unquote, urlsplit

from storage import layout
from storage.errors import StorageError
from storage.images import list_categories, list_images, list_run_dates
from storage.stores.store import Store

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""Label Studio's prefix of an uploaded file's name"""
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class UnusableLabels(StorageError):
    """The file cannot be imported as labels of this category; nothing was written."""


class Names:
    """Keys, found by equivalent spellings: 'ü' may be one character or two."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = frozenset(keys)
        self._composed: dict[str, list[str]] = defaultdict(list)
        for key in sorted(self.keys):
            self._composed[_composed(key)].append(key)

    def find(self, called: str) -> list[str]:
        """The key `called`, or all keys that are equivalent; several are different files with one name."""
        return [called] if called in self.keys else self._composed.get(_composed(called), [])


class KnownImages:
    """The images of one category."""

    def __init__(self, images: Store, category: str) -> None:
        self._prefix = layout.category_images_prefix(category)
        self._category = category
        self._others = frozenset(list_categories(images)) - {category}
        self._names = Names(
            info.key for day in list_run_dates(images, category) for info in list_images(images, category, day)
        )
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for key in sorted(self._names.keys):
            self._by_name[_composed(key.rpartition("/")[2])].append(key)

    def key_of(self, called: str) -> str:
        """The key of the image that a tool calls `called`: a key, an address, or a path that ends in one.

        A bare file name is enough if only one image has it; characters may be composed or not. Raises UnusableLabels
        with the nearest keys.
        """
        paths = list(dict.fromkeys(_paths_of(called)))
        fitting: list[str] = []
        if any(self._is_of_another(path.split("/")) for path in paths):
            raise UnusableLabels(self._unknown(called, paths[-1], fitting))
        for path in paths:
            segments = path.split("/")
            for start in range(len(segments)):
                rest = "/".join(segments[start:])
                fitting = fitting or self._names.find(rest) or self._names.find(self._prefix + rest)
        for path in paths:
            name = _composed(path.rpartition("/")[2])
            keys = self._by_name.get(name) or self._by_name.get(_UPLOADED.sub("", name)) or []
            days = {folder for folder in path.split("/") if _DAY.fullmatch(folder)}
            fitting = fitting or [key for key in keys if not days or key.split("/")[2] in days]
        if len(fitting) == 1:
            return fitting[0]
        raise UnusableLabels(self._unknown(called, paths[-1], fitting))

    def _is_of_another(self, segments: Sequence[str]) -> bool:
        """Whether the path names a day of another category."""
        return any(
            _DAY.fullmatch(day)
            and of != self._category
            and (of in self._others or f"{root}/" == layout.images_root())
            for root, of, day in zip(["", *segments], segments, segments[1:], strict=False)
        )

    def _unknown(self, called: str, path: str, keys: Sequence[str]) -> str:
        near = sorted(keys)[:3] or difflib.get_close_matches(self._prefix + path, self._names.keys, 3, 0.4)
        why = f"could be any of {len(keys)} images" if keys else f"is no image below {self._prefix}"
        if keys and len({_composed(key) for key in keys}) == 1:
            why += " whose names look the same and differ in how an accent is written"
        return (
            f"the image {called!r} {why}, so no label was written. "
            f"{self._nearest(near)} Correct the name, or --category and --images."
        )

    def _nearest(self, near: Sequence[str]) -> str:
        if near:
            return f"Nearest: {', '.join(map(_distinct, near))}."
        of = difflib.get_close_matches(self._category, self._others, 1)
        return f"There are none; did you mean --category {of[0]}?" if of else "There are none."


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _distinct(key: str) -> str:
    """A key in a form that differs from one that looks the same."""
    return key if key == _composed(key) else f"{key} ({key!a})"


def _paths_of(called: str) -> Iterator[str]:
    """Possible paths of an image name from a tool: without scheme, host, bucket and query.

    Any character may be part of a name, so the path is tried as it is, then URL-decoded.
    """
    called = called.strip()
    scheme, separator, rest = called.partition("://")
    if separator and scheme.startswith("http"):
        try:
            paths = [unquote(urlsplit(called).path), urlsplit(called).path]
        except ValueError:  # brackets that hold no address
            paths = [rest.partition("/")[2]]
    elif "/local-files/?" in called:
        paths = [*parse_qs(urlsplit(called).query).get("d", []), unquote(called.partition("?d=")[2])]
    elif separator:
        below = rest.partition("/")[2]
        paths = [below, unquote(below)] if scheme == "file" else [below]
    else:
        paths = [called]
    for path in paths:
        yield path.lstrip("/")
        yield path.replace("\\", "/").lstrip("/")
