"""Standard error for people, and standard output that survives a closed pipe or a full disk."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from flows.errors import RunFailed

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class OutputLost(RunFailed):
    """Standard output took only a part of the output, or nothing."""


class _NotTaken(OSError):
    """An error of standard output, and of no other file or connection."""


class _Output(io.FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        """As in the base class. Raises _NotTaken."""
        try:
            return super().write(data)
        except OSError as e:
            raise _NotTaken(e.errno, e.strerror) from e


def standard_output() -> TextIO:
    """Standard output for `sys.stdout`; `quiet_pipe` recognises its errors."""
    given = sys.stdout
    if given is None:  # closed by `>&-`: every write is to fail
        closed = _Output(os.open(os.devnull, os.O_RDONLY), "w")
        return io.TextIOWrapper(io.BufferedWriter(closed), encoding="utf-8")
    given.flush()
    raw = _Output(given.fileno(), "w", closefd=False)
    lines = isinstance(given, io.TextIOWrapper) and (given.line_buffering or given.write_through)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=given.encoding, errors=given.errors, newline="\n", line_buffering=lines
    )


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """End the block silently when the reader of standard output has left, as with `| head`. Raises OutputLost if
    it cannot be written for another reason."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except _NotTaken as e:
        # Python's own flush at its end must not speak of it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if e.errno != errno.EPIPE:
            raise OutputLost(
                f"Standard output cannot be written ({e.strerror}), so the output is incomplete. Make room or choose "
                "another place, and run the command again."
            ) from e


def print_text(text: str) -> None:
    """Print unchanged to standard output. Raises OutputLost."""
    with quiet_pipe():
        sys.stdout.write(text)


def say(text: str) -> None:
    """Print a line for people on standard error, so that standard output can be piped."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)
