"""Who said something: one person is one annotator, however tools and spreadsheets spell the name."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

_WHOLE_NUMBER = re.compile(r"(\d+)\.0+")
"""what becomes of an annotator's number in a table that has gaps"""


def as_kept(name: str | None) -> str | None:
    """A name as labels keep it: composed characters, no space around it or doubled within; None if none is left."""
    if name is None:
        return None
    visible = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    plain = " ".join(unicodedata.normalize("NFC", visible).split())
    number = _WHOLE_NUMBER.fullmatch(plain)
    return (number[1] if number else plain) or None


def identity(name: str | None) -> str | None:
    """What two spellings of one annotator have in common. None stands for all who gave no name."""
    kept = as_kept(name)
    return None if kept is None else unicodedata.normalize("NFKC", kept).casefold()


def spellings(names: Iterable[str | None]) -> Mapping[str | None, str | None]:
    """For every name the one spelling to show its annotator under: the first of `names` that is theirs."""
    first: dict[str | None, str | None] = {}
    return {name: first.setdefault(identity(name), as_kept(name)) for name in names}
