"""Words for people in place of those of columns and settings (glossary: ARCHITECTURE.md), and text from outside
without credentials and without characters that hide or reorder other text."""

import re
import unicodedata

PROMISED = "promised false-alarm rate"
"""how people read `alpha`"""
_STATES = {
    "sealed": "complete",
    "already sealed": "complete already",
    "partly sealed": "partly complete",
    "not sealed": "not complete",
}
_USER_IN_URI = re.compile(r"(?<=://)[^/\s@]+@")
_NAMED_SECRET = re.compile(
    r"(?i)\b([\w-]*(?:secret|passw(?:or)?d|token|signature|credential|access_?key)[\w-]*[\"']?\s*[=:]\s*)"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s&,;\"']+)"
)
_AWS_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_HIDDEN = "[hidden]"


def state_in_words(state: str) -> str:
    """The words for the state of a category's day; a state without other words stays."""
    return _STATES.get(state, state)


def shown(text: str) -> str:
    """`text` without credentials, and with control, bidi and lone surrogate characters written as escapes.

    Unescaped, such characters could make one file name read as another.
    """
    return without_controls(without_credentials(text))


def without_controls(text: str) -> str:
    """`text` with control, bidi and lone surrogate characters written as escapes; line ends stay."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def without_credentials(text: str) -> str:
    """`text` with user names and passwords in URIs, named secrets and AWS key ids replaced."""
    text = _USER_IN_URI.sub("", text)
    text = _NAMED_SECRET.sub(lambda match: match.group(1) + _HIDDEN, text)
    return _AWS_KEY_ID.sub(_HIDDEN, text)


def _escaped(letter: str) -> str:
    if letter == "\n" or letter.isprintable():
        return letter
    if letter in _BIDI or unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp"):
        return letter.encode("unicode_escape").decode("ascii")
    return letter
