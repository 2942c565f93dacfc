"""How a run tells that it did not do all it was asked to, exit codes, and errors in plain words."""

import re
from typing import Any

RUN_FAILED, WRONG_USE = 1, 2
"""exit codes"""
_WORDS = (
    (re.compile(r"^Value error, "), ""),
    (re.compile(r"^Input should be"), "it must be"),
    (re.compile(r", unable to parse .*"), ""),
    (re.compile(r"^('.*') does not match the formats '%Y-%m-%d'\.?$"), r"\1 is no day; write it like 2026-11-21"),
)


class RunFailed(Exception):
    """A run did not do all it was asked to; the message says what is missing and why."""


class PartlyDone(RunFailed):
    """Some of it was done all the same."""

    def __init__(self, run: Any, message: str) -> None:
        self.run = run
        """what the flow would have returned"""
        super().__init__(message)


def in_words(problem: Exception) -> str:
    """The message of our own errors; others with their type, since theirs are seldom whole sentences."""
    ours = type(problem).__module__.split(".")[0] in ("flows", "tasks", "rd_core", "storage")
    return str(problem) if ours else f"{type(problem).__name__}: {problem}"


def in_plain_words(message: str) -> str:
    """What pydantic or typer says of a value, in words of people who never heard of them: 'Input should be less than
    1' is 'it must be less than 1'. Ends without a full stop."""
    for pattern, words in _WORDS:
        message = pattern.sub(words, message)
    return message.rstrip(".")


def sentence(words: str) -> str:
    """With a full stop, unless it ends otherwise."""
    return words if words.endswith(("?", "!", ".")) else f"{words}."
