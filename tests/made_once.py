"""Files that one process of a run of the tests makes for all of them."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from tests.prefect_database import FOLDER


def made_once(name: str, make: Callable[[], bytes]) -> bytes:
    """What the first process to ask made; the others wait for it. Where the tests run in one process, it is made."""
    if FOLDER not in os.environ:
        return make()
    file = Path(os.environ[FOLDER]) / name
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            file.write_bytes(make())
        return file.read_bytes()
