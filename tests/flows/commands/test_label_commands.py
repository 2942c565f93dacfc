"""Labels and folders of pictures brought in by command: what is taken, what is refused, in which words."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from storage.filesystem import Store
from storage.images import decode_mask
from storage.labels.labels import Label, append_label
from tests.factories import DAY, everything_below, put_images
from tests.photo_folders import mask, picture, write_files


def call(*arguments: str, code: int = 0) -> str:
    """What a command printed, as one line."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "300", "TERM": "dumb"}, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def labels_of(store: Store) -> dict[str, str]:
    return dict(labels_sql(store, "SELECT image_key, label FROM labels"))


def labels_sql(store: Store, sql: str) -> list[tuple[str, ...]]:
    rows = CliRunner().invoke(app, ["query", sql, "--store", store.uri, "--format", "json"]).stdout
    return [tuple(json.loads(line).values()) for line in rows.splitlines()]


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
    table.write_text("image_key,label\n")
    assert call(*command[:4], "--store", plant.uri).startswith("The file holds no label; nothing was written.")
    table.write_bytes("Datei;Prüfung\n".encode("cp1252"))
    for more, told in (
        (["--delimiter", "comma"], "no heading 'Datei' (it has, with the delimiter comma: Datei;Prüfung)"),
        (["--column", "image=Bild"], "--column image is given twice"),
        (["--column", "kind"], "--column 'kind' is not NAME=HEADING"),
        (["--word", "gut=normal", "--word", "gut=anomalous"], "'gut' has two meanings, normal and anomalous"),
    ):
        assert told in call(*command, *more, code=2)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    files = {"a.png": picture(1), "b.jpg": picture(2), "night/c.png": picture(3), "b_drawn.png": mask(1, 2)}
    rows = "file;result;drawn;who\na.png;OK;;eva\nb.jpg;NG;b_drawn.png;eva\nd.png;OK;;eva\n"
    return write_files(tmp_path / "photos", {**files, "list.csv": rows.encode()})


def test_a_flat_folder_is_brought_in_with_its_table(store: Store, photos: Path) -> None:
    day = f"images/cloth/{DAY}"
    command = ["import", str(photos), "--category", "cloth", "--run-date", str(DAY), "--store", store.uri]
    told = call(*command, code=2)
    assert f"or bring in what lies there with a table of names and labels: --table {photos / 'list.csv'}" in told
    command += ["--table", "list.csv", "--column", "image=file", "--column", "label=result", "--column", "mask=drawn"]
    assert "the label 'OK' is unknown" in call(*command, code=2)
    assert not list(store.list(""))
    command += ["--column", "labelled_by=who", "--word", "OK=normal", "--word", "NG=anomalous"]
    said = call(*command)
    for part in (
        f"cloth: 3 images of {DAY} (1 labelled anomalous, 1 labelled normal; 1 mask; 1 without a label).",
        "New: 3 images, 2 labels. Already there: 0 images.",
        "1 names in the table without an image: d.png",
    ):
        assert part in said
    assert labels_of(store) == {f"{day}/a.png": "normal", f"{day}/b.jpg": "anomalous"}
    [(mask_key,)] = labels_sql(store, "SELECT mask_key FROM labels WHERE mask_key IS NOT NULL")
    assert decode_mask(store.read(mask_key)).any(axis=1).nonzero()[0].tolist() == [1, 2]

    # Again it changes nothing; an image that comes later gets its word, and nobody's word since is touched.
    append_label(store, "cloth", Label(f"{day}/a.png", "anomalous", None, "ann", datetime.now(UTC)), reviewer="ann")
    before = everything_below(Path(store.uri), "images", "labels")
    assert "New: 0 images, 0 labels. Already there: 3 images." in call(*command)
    assert everything_below(Path(store.uri), "images", "labels") == before
    write_files(photos, {"d.png": picture(4)})
    assert "New: 1 image, 1 label." in call(*command)
    assert labels_of(store) == dict.fromkeys([f"{day}/a.png", f"{day}/b.jpg"], "anomalous") | {
        f"{day}/d.png": "normal"
    }

    # Nothing is replaced.
    write_files(photos, {"a.png": picture(5)})
    assert "would be replaced by others" in call(*command, code=2)
    assert store.read(f"{day}/a.png") == picture(1)
    assert "New: 4 images, 3 labels." in call(*command, "--prefix", "camera-b")


def test_options_of_a_table_need_one(store: Store, photos: Path) -> None:
    command = ["import", str(photos), "--category", "cloth", "--run-date", str(DAY), "--store", store.uri]
    for more, told in (
        (["--delimiter", ";"], "--delimiter is about a table"),
        (["--purpose", "evaluation"], "--purpose is about a table"),
        (["--table", "lost.csv"], "lost.csv: there is no such file"),
        (["--table", "a.png"], "is of a kind that is not known"),
        (["--table", "list.csv", "--normals-date", str(DAY)], "--normals-date is the day of train/"),
    ):
        assert told in call(*command, *more, code=2)
    assert "there is no such folder" in call("import", str(photos / "x"), *command[2:], code=2)
    assert not list(store.list(""))


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
