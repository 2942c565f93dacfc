"""Workers began before a test's S3 server was named: they are told where it is, and forget it afterwards."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client


@contextmanager
def aws_settings_on_workers(scheduler: str) -> Iterator[None]:
    """The AWS settings of this process on all workers, within the block."""
    settings: dict[str, str | None] = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with Client(scheduler, set_as_default=False) as client:
        before = client.run(_take_environment, settings)
        yield
        client.run(_take_environment, next(iter(before.values())))


def _take_environment(values: dict[str, str | None]) -> dict[str, str | None]:
    """What was there before."""
    before = {name: os.environ.get(name) for name in values}
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return before
