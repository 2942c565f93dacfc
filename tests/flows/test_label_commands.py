"""Labels and folders of pictures brought in by command: what is taken, what is refused, in which words."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from storage.filesystem import Store
from tests.factories import put_images


def call(*arguments: str, code: int = 0) -> str:
    """What a command printed, as one line."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "300", "TERM": "dumb"}, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def labels_of(store: Store) -> dict[str, str]:
    rows = CliRunner().invoke(
        app, ["query", "SELECT image_key, label FROM labels", "--store", store.uri, "--format", "json"]
    )
    return {row["image_key"]: row["label"] for row in map(json.loads, rows.stdout.splitlines())}


@pytest.fixture
def plant(store: Store) -> Store:
    put_images(store, "cloth", ["a.png", "b.png"])
    return store


def test_a_table_is_brought_in_as_its_options_say(plant: Store, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_bytes("Datei;Prüfung\na.png;gut\nb.png;-1\n".encode("cp1252"))
    command = ["labels", str(table), "--category", "cloth", "--store", plant.uri, "--encoding", "cp1252"]
    command += ["--column", "image=Datei", "--column", "label=Prüfung"]
    assert "the label 'gut' is unknown" in call(*command, code=2)
    assert "2 new" in call(*command, "--word", "gut=normal", "--word", "-1=anomalous")
    assert list(labels_of(plant).values()) == ["normal", "anomalous"]
    for more, told in (
        (["--delimiter", "comma"], "no heading 'Datei' (it has, with the delimiter comma: Datei;Prüfung)"),
        (["--column", "image=Bild"], "--column image is given twice"),
        (["--column", "kind"], "--column 'kind' is not NAME=HEADING"),
        (["--word", "gut=normal", "--word", "gut=anomalous"], "'gut' is said to mean normal and anomalous"),
    ):
        assert told in call(*command, *more, code=2)


def test_a_file_that_is_not_there_is_told_and_named_once(plant: Store, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image_key,label\nc.png,normal\n")
    for name, told in (
        ("lables.csv", "there is no such file; nothing was written. The nearest name there is labels.csv"),
        ("no/labels.csv", "There is no folder"),
        (".", "is a folder, not a file of labels"),
        ("labels.csv", "line 2: the image 'c.png' is no image below images/cloth/"),
    ):
        file = str(tmp_path / name)
        said = call("labels", file, "--category", "cloth", "--store", plant.uri, code=2)
        assert told in said and said.count(f"{file}:") + said.count(f"{file},") <= 1
