"""The columns and cells of a table of labels."""

import difflib
import math
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from storage.errors import StorageError

DECIDED = ("normal", "anomalous")
WORDS = (*DECIDED, "unsure", "withdrawn")
"""'unsure': the person could not decide; 'withdrawn': the person took the previous label back"""
REQUIRED = ("image_key", "label")
COLUMNS = (
    *REQUIRED, "mask_key", "labelled_by", "labelled_at", "kind", "purpose", "model_version", "score",
)  # fmt: skip
_MISSPELT = 0.85
_LARGEST_SCORE = 3.4028234663852886e38
"""largest float32, the type of stored scores"""


def column_name(heading: str) -> str:
    """A heading in our spelling: 'Image Key' is image_key."""
    return "_".join(heading.strip('\ufeff" \t\r\n').replace("-", " ").replace("_", " ").casefold().split())


def columns_of(
    headings: Sequence[str], address: str, given: Mapping[str, str] | None = None, delimiter: str | None = None
) -> Mapping[str, int]:
    """The index of each of COLUMNS in the table; other columns are ignored.

    `given`: other headings of our columns; `delimiter`: the text's delimiter, for messages. Raises StorageError if
    image_key, label or a named heading is missing, if a column is there twice, or if one seems misspelt, because its
    contents would be lost.
    """
    names = _names(headings, address, given or {}, delimiter)
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        cure = " ".join(f"--column {name.removesuffix('_key')}=HEADING" for name in missing)
        raise StorageError(
            f"{address} has no column {' and no column '.join(missing)} ({_there(headings, delimiter)}), so no label "
            f"was read. It needs {' and '.join(REQUIRED)}, in the first line; if they are called otherwise, bring it "
            f"in with {cure}{' (or another --delimiter)' if delimiter else ''}."
        )
    twice = [name for name in COLUMNS if names.count(name) > 1]
    if twice:
        raise StorageError(
            f"{address} has the column {twice[0]} {names.count(twice[0])} times, so the right one could not be "
            "told and no label was read. Remove or rename the others."
        )
    absent = [name for name in COLUMNS if name not in names]
    for name, heading in zip(names, headings, strict=True):
        near = [] if name in COLUMNS else difflib.get_close_matches(name, absent, 1, _MISSPELT)
        if near:
            raise StorageError(
                f"{address} has a column {heading!r}, which is not known: if it is {near[0]}, what it says would be "
                f"lost, so no label was read. Call it {near[0]}, or something quite different."
            )
    return {name: names.index(name) for name in COLUMNS if name in names}


def _names(headings: Sequence[str], address: str, given: Mapping[str, str], delimiter: str | None) -> list[str]:
    """Our name of each heading. A column with a named heading takes no other."""
    names = [column_name(heading) for heading in headings]
    names = [f"{name} of another" if name in given else name for name in names]
    for name, heading in given.items():
        exact = [index for index, name in enumerate(headings) if name.strip('\ufeff" \t\r\n') == heading]
        places = exact or [i for i, name in enumerate(headings) if column_name(name) == column_name(heading)]
        if len(places) != 1:
            what = f"{len(places)} headings {heading!r}" if places else f"no heading {heading!r}"
            option = f"--column {name.removesuffix('_key')}={heading}"
            raise StorageError(
                f"{address} has {what} ({_there(headings, delimiter)}), so {option} cannot be found and no label "
                "was read. Name one of its headings."
            )
        names[places[0]] = name
    return names


def _there(headings: Sequence[str], delimiter: str | None) -> str:
    """The headings, for messages."""
    by = f", with the delimiter {delimiter}" if delimiter else ""
    return f"it has{by}: {', '.join(headings) or 'none'}"


def text_of(value: object, name: str, where: str) -> str | None:
    """A text cell; None if empty. Whole numbers count as text, except for image keys.

    Raises StorageError for other types and for characters that no name has.
    """
    text: str | None
    match value:
        case None | "":
            return None
        case str():
            text = value
        case bool() if name == "label":
            text = str(value).lower()  # a table of good parts may say true and false: what they mean is told
        case bool() | date() | bytes() | list() | dict():
            text = None
        case float() | Decimal() if math.isnan(value):
            return None  # a gap in a column of numbers
        case float() | Decimal() if math.isfinite(value) and value == int(value):
            text = str(int(value))
        case int():
            text = str(value)
        case _:
            text = None
    if text is None or (name.endswith("_key") and not isinstance(value, str)):
        raise StorageError(f"{where}: {name} {value!r} is not text, so no label was read. Write it as text.")
    if not text.isprintable() and any(_is_broken(letter) for letter in text):
        raise StorageError(
            f"{where}: {name} {text!r} has a line break or another control character, so no label "
            "was read. Remove it."
        )
    return (text if name.endswith("_key") else text.strip()) or None


def _is_broken(letter: str) -> bool:
    """Whether `text` has control characters, line ends or half surrogates; other unprintable ones, such as joiners,
    are allowed."""
    return (
        ord(letter) < 0x20
        or 0x7F <= ord(letter) <= 0x9F
        or letter in "\u2028\u2029"
        or 0xD800 <= ord(letter) < 0xE000
    )


def number_of(value: object, where: str) -> float | None:
    """A score cell; None if empty or NaN. Raises StorageError for anything else."""
    if value is None or value == "":
        return None
    try:
        number = float(str(value))
    except ValueError as e:
        raise StorageError(
            f"{where}: score {value!r} is not a number, so no label was read. Write it like 1.25, or leave it empty."
        ) from e
    if abs(number) > _LARGEST_SCORE:
        raise StorageError(
            f"{where}: score {value!r} is larger than any score, so no label was read. Leave it empty."
        )
    return None if math.isnan(number) else number
