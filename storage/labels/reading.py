"""How to read a table of labels that does not say so itself: delimiter, encoding, headings and words."""

import codecs
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from storage.labels.cells import COLUMNS, WORDS
from storage.labels.known_images import UnusableLabels

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
"""automatically detected, by the name in messages"""
_SHORT = {"image": "image_key", "mask": "mask_key"}
"""other names of our columns"""
_CALLED = {**{name: sign for sign, name in DELIMITERS.items()}, "\\t": "\t", "pipe": "|", "space": " "}


def choice(text: object) -> str:
    """A word in the form that is compared: 'OK ' is 'ok'; signs count, so 1 and -1 differ."""
    return " ".join(unicodedata.normalize("NFKC", str(text)).casefold().split())


def delimiter_name(delimiter: str) -> str:
    """For messages."""
    return DELIMITERS.get(delimiter, repr(delimiter))


@dataclass(frozen=True)
class TableReading:
    """A person's settings for reading a table. Raises UnusableLabels for settings that fit no table."""

    delimiter: str | None = None
    """one character; None: the one of DELIMITERS under which the header names our columns"""
    encoding: str | None = None
    """None: by the byte order mark, else UTF-8"""
    headings: Mapping[str, str] = field(default_factory=dict)
    """the table's heading of a column of ours, if it differs"""
    words: Mapping[str, str] = field(default_factory=dict)
    """words of storage.labels.labels by choice, beside those words themselves"""

    def __post_init__(self) -> None:
        if self.delimiter is not None:
            self._check_delimiter(self.delimiter)
        if self.encoding is not None:
            self._check_encoding(self.encoding)
        twice = [heading for heading in self.headings.values() if list(self.headings.values()).count(heading) > 1]
        if twice:
            raise UnusableLabels(
                f"--column: the heading {twice[0]!r} is given for {len(twice)} columns, so no label was read. Give "
                "each column a heading of its own."
            )
        for text, word in self.words.items():
            if word not in WORDS:
                raise UnusableLabels(
                    f"--word {text}={word}: {word!r} is no label, so no label was read. Use {', '.join(WORDS)}."
                )

    def _check_delimiter(self, delimiter: str) -> None:
        if len(delimiter) != 1 or delimiter.isalnum() or delimiter in "\"'\r\n\0_-./\\":
            raise UnusableLabels(
                f"--delimiter {delimiter!r} cannot separate cells, so no label was read. Give one character, such as "
                "';', or its name: comma, semicolon, tab, bar."
            )

    def _check_encoding(self, encoding: str) -> None:
        try:
            if "a".encode(encoding).decode(encoding) == "a" and codecs.lookup(encoding).name != "unicode_escape":
                return
        except (LookupError, ValueError, TypeError):
            pass
        raise UnusableLabels(
            f"--encoding {encoding!r} is not a text encoding, so no label was read. Use utf-8, cp1252 (of Windows), "
            "latin-1, utf-16, shift_jis or another that Python knows."
        )

    @property
    def is_given(self) -> bool:
        """Whether any setting is given."""
        return self != TableReading()

    def word(self, label: str) -> str:
        """The word that the table's `label` means, in lower case; an unknown one stays."""
        meaning = self.words.get(choice(label))
        return meaning or (label.lower() if label.lower() in WORDS else label)

    def refuse_unless_text(self, address: str) -> None:
        """Raises UnusableLabels for text settings with a Parquet file."""
        for option, given in (("--delimiter", self.delimiter), ("--encoding", self.encoding)):
            if given is not None:
                raise UnusableLabels(
                    f"{address} is Parquet, which has no {option[2:]}, so no label was read. Leave {option} out."
                )


def table_reading(
    delimiter: str | None = None,
    encoding: str | None = None,
    columns: Mapping[str, str] | None = None,
    words: Mapping[str, str] | None = None,
) -> TableReading:
    """A TableReading from people's words: delimiters may be named, and `columns` be called image or mask."""
    headings: dict[str, str] = {}
    for called, heading in (columns or {}).items():
        plain = called.strip().lower().replace("-", "_")
        name = _SHORT.get(plain, plain)
        if name not in COLUMNS:
            raise UnusableLabels(
                f"--column {called}={heading}: labels have no column {called!r}, so no label was read. There are: "
                f"image, label, mask, {', '.join(column for column in COLUMNS[3:])}."
            )
        if name in headings:
            raise UnusableLabels(f"--column {name} is given twice, so no label was read. Give it once.")
        headings[name] = heading.strip()
    sign = delimiter if delimiter is None else _CALLED.get(delimiter.strip().lower(), delimiter)
    return TableReading(sign, encoding, headings, {choice(text): word for text, word in (words or {}).items()})
