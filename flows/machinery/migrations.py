"""Skips the embedded server's search for migrations if its database fits this release of Prefect."""

import contextlib
import os
import sqlite3
from importlib import metadata
from pathlib import Path

_ELSEWHERE = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")
"""environment variables that name another database"""


def is_migrated(prefect_home: Path) -> bool:
    """Whether the database in that folder is migrated; False when in doubt, so that the server checks for half a
    second."""
    try:
        known = (prefect_home / "migrated").read_text()
    except OSError:
        return False
    return known == _state(prefect_home)


def remember_migrated(prefect_home: Path) -> None:
    """Record that a server has started on the database."""
    state = _state(prefect_home)
    if state and not is_migrated(prefect_home):
        (prefect_home / "migrated").write_text(state)


def _state(prefect_home: Path) -> str | None:
    """Prefect's release and the database's revision; an older copy that is put back is migrated again."""
    if any(os.environ.get(name) for name in _ELSEWHERE):
        return None
    address = f"{(prefect_home / 'prefect.db').absolute().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=1)) as database:
            revisions = database.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error:  # none yet, or none that can be read
        return None
    return f"prefect {metadata.version('prefect')}, revision {revisions}"
