"""Annotators: one person is one annotator, however tools spell the name."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

_WHOLE_NUMBER = re.compile(r"(\d+)\.0+")
"""removes the decimals of an annotator's number in a table with gaps"""


def as_kept(name: str | None) -> str | None:
    """A name in its stored form: composed characters, single spaces; None if it is empty."""
    if name is None:
        return None
    visible = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    plain = " ".join(unicodedata.normalize("NFC", visible).split())
    number = _WHOLE_NUMBER.fullmatch(plain)
    return (number[1] if number else plain) or None


def identity(name: str | None) -> str | None:
    """The key that all spellings of one annotator share. None stands for all labels without a name."""
    kept = as_kept(name)
    return None if kept is None else unicodedata.normalize("NFKC", kept).casefold()


def spellings(names: Iterable[str | None]) -> Mapping[str | None, str | None]:
    """For every name the spelling to show: the first in `names` of the same annotator."""
    first: dict[str | None, str | None] = {}
    return {name: first.setdefault(identity(name), as_kept(name)) for name in names}
