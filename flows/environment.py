"""Environment variables for a while."""

import contextlib
import os
from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """This process's environment with `values` in it, and after that as it was."""
    with environment_kept():
        os.environ.update(values)
        yield


@contextlib.contextmanager
def environment_kept() -> Iterator[None]:
    """After what is done inside, this process's environment is as it was."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
