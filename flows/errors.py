"""Errors of runs that did only a part, exit codes, and errors in plain words."""

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
    """A run did not do all it was asked to do; the message says what is missing and why."""


class PartlyDone(RunFailed):
    """A run failed, but did a part, kept in `run`."""

    def __init__(self, run: Any, message: str) -> None:
        self.run = run
        """the flow's result, as far as it came"""
        super().__init__(message)


def in_words(problem: Exception) -> str:
    """The message of our own errors; with the type for others, whose messages are seldom sentences."""
    if type(problem).__name__ == "KilledWorker":  # Dask's, by name: commands import this module without Dask
        return (
            "every process that tried it was killed, which is what happens where memory runs out. Set `workers` in "
            "[plant] lower, so that each gets more of the memory, or take smaller images. The log says which were "
            "killed."
        )
    ours = type(problem).__module__.split(".")[0] in ("flows", "tasks", "rd_core", "storage")
    return str(problem) if ours else f"{type(problem).__name__}: {problem}"


def in_plain_words(message: str) -> str:
    """A pydantic or typer message in plain words: 'Input should be less than 1' becomes 'it must be less than 1'.
    No full stop at the end."""
    for pattern, words in _WORDS:
        message = pattern.sub(words, message)
    return message.rstrip(".")


def sentence(words: str) -> str:
    """The text with a full stop, unless it has an end."""
    return words if words.endswith(("?", "!", ".")) else f"{words}."
