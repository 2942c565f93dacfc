"""What is printed into a pipe whose reader may have enough before the end."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """Ends what is inside, without a word, where standard output goes to `| head` or the like and nobody reads on."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has enough, and Python's own flush at its end must not say so
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
