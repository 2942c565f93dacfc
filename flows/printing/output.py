"""Standard error for people, and standard output that does not take what is printed: a pipe whose reader has enough,
a full disk."""

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
    """Standard output took only a part of what was printed, or nothing."""


class _NotTaken(OSError):
    """By standard output, and by no other file or connection."""


class _Output(io.FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        """As its base class does. Raises _NotTaken."""
        try:
            return super().write(data)
        except OSError as e:
            raise _NotTaken(e.errno, e.strerror) from e


def standard_output() -> TextIO:
    """Standard output of this process, for `sys.stdout`: with it `quiet_pipe` knows whose errors it meets."""
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
    """Ends what is inside, without a word, where standard output goes to `| head` or the like and nobody reads on.
    Raises OutputLost where it cannot be written for another reason."""
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
                f"Standard output cannot be written ({e.strerror}), so what was printed is not whole. Make room or "
                "choose another place, and give the command again."
            ) from e


def print_text(text: str) -> None:
    """As it is. Raises OutputLost."""
    with quiet_pipe():
        sys.stdout.write(text)


def say(text: str) -> None:
    """A line for people, on standard error, so that what a command prints can be piped."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)
