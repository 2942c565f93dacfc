"""How a flow tells that it did not do all it was asked to, and the exit codes of the commands."""

from typing import Any

RUN_FAILED, WRONG_USE = 1, 2
"""exit codes"""


class RunFailed(Exception):
    """A run did not do all it was asked to; the message says what is missing and why."""


class PartlyDone(RunFailed):
    """Some of it was done all the same."""

    def __init__(self, run: Any, message: str) -> None:
        self.run = run
        """what the flow would have returned"""
        super().__init__(message)
