"""What pydantic says of a value that it refuses, in words of people who never heard of it."""

import re

_WORDS = (
    (re.compile(r"^Value error, "), ""),
    (re.compile(r"^Input should be"), "it must be"),
    (re.compile(r", unable to parse .*"), ""),
    (re.compile(r"^('.*') does not match the formats '%Y-%m-%d'\.?$"), r"\1 is no day; write it like 2026-11-21"),
)


def in_plain_words(message: str) -> str:
    """'Input should be less than 1' is 'it must be less than 1'. Ends without a full stop."""
    for pattern, words in _WORDS:
        message = pattern.sub(words, message)
    return message.rstrip(".")


def sentence(words: str) -> str:
    """With a full stop, unless it ends otherwise."""
    return words if words.endswith(("?", "!", ".")) else f"{words}."
