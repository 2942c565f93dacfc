"""`rd-inspect compact` says what it did, and fails where a day cannot be copied."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from storage.filesystem import open_store
from tests.storage.small_nights import put_images, put_model, put_night


@pytest.fixture
def plant(tmp_path: Path) -> str:
    store = open_store(tmp_path / "plant", create=True)
    put_model(store)
    put_images(store, "a", "b", "c")
    put_night(store)
    return store.uri


def test_days_are_copied_once(plant: str) -> None:
    first = CliRunner().invoke(app, ["compact", "--store", plant])
    assert (first.exit_code, first.stderr) == (0, "1 day copied (3 rows of 2 score files), 0 already up to date.\n")
    again = CliRunner().invoke(app, ["compact", "--store", plant])
    assert (again.exit_code, again.stderr) == (0, "0 days copied (0 rows of 0 score files), 1 already up to date.\n")


def test_a_damaged_part_fails_the_command(plant: str) -> None:
    part = next(Path(plant).glob("scores/**/*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    done = CliRunner().invoke(app, ["compact", "--store", plant])
    assert done.exit_code == 1
    assert f"{part} does not match its seal" in done.stderr
    assert "rd-inspect verify" in done.stderr
