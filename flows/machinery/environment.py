"""Environment variables for a while."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """This process's environment with `values` in it, and after that as it was."""
    with environment_kept(values):
        os.environ.update(values)
        yield


@contextlib.contextmanager
def environment_kept(names: Iterable[str]) -> Iterator[None]:
    """After what is done inside, these variables of this process are as they were; others are left alone."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
