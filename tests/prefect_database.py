"""Prefect's database, built once for all processes of a run of the tests: that takes longer than any test."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

FOLDER = "TESTS_PREFECT_DATABASE"
"""environment variable: the folder the database is being built in"""
PATIENCE = 180
"""seconds"""


def begin_building(folder: Path) -> subprocess.Popen[bytes]:
    """Build it in another process while the first tests run; processes started from now on wait for this one."""
    os.environ[FOLDER] = str(folder)
    environment = {**os.environ, "PREFECT_HOME": str(folder / "building")}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.prefect_database", str(folder)], env=environment, stdout=log, stderr=log
        )


def put_database(home: Path) -> None:
    """Into the home of an embedded server that has not started yet. Without one that was begun, the server will
    build its own."""
    if FOLDER not in os.environ:
        return
    folder = Path(os.environ[FOLDER])
    deadline = time.monotonic() + PATIENCE
    while not (folder / "built").exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no database of Prefect within {PATIENCE} s: {(folder / 'log').read_text()}")
        time.sleep(0.1)
    copy_database(folder / "building", home / "prefect")


def copy_database(prefect_home: Path, to: Path) -> None:
    to.mkdir(parents=True)
    with (
        contextlib.closing(sqlite3.connect(prefect_home / "prefect.db")) as built,
        contextlib.closing(sqlite3.connect(to / "prefect.db")) as copy,
    ):
        built.backup(copy)


def _build(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"], check=True)
    (folder / "built").touch()


if __name__ == "__main__":
    _build(Path(sys.argv[1]))
