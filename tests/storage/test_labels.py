"""Labels from files of people and of ours; the latest word holds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from storage import labels, parquet
from storage.errors import CorruptObject, InvalidKey, StorageError
from storage.filesystem import LocalStore
from storage.labels import Label, normal_image_keys, read_labels, write_labels

NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
GOOD = Label("images/c/1.png", "normal", None, "ann", NOW)
BAD = Label("images/c/2.png", "anomalous", "labels/c/masks/2.png", "ann", NOW, kind="scratch")


def test_labels_are_read_as_written(local: LocalStore) -> None:
    assert write_labels(local, "c", [BAD, GOOD], "first") == "labels/c/first.parquet"
    table = read_labels(local, "c")
    assert table.schema.equals(labels.SCHEMA)
    assert [Label(**row) for row in table.to_pylist()] == [GOOD, BAD]
    assert normal_image_keys(local, "c") == ["images/c/1.png"]
    assert labels.list_label_categories(local) == ["c"]


def test_no_labels(local: LocalStore) -> None:
    assert read_labels(local, "c").schema.equals(labels.SCHEMA)
    assert normal_image_keys(local, "c") == []
    write_labels(local, "c", [], "none")
    assert len(read_labels(local, "c")) == 0


def test_the_latest_word_holds_whichever_file_has_it(local: LocalStore) -> None:
    later = replace(GOOD, label="anomalous", labelled_at=NOW + timedelta(hours=1))
    latest = replace(GOOD, label="normal", labelled_at=NOW + timedelta(hours=2), labelled_by="bob")
    write_labels(local, "c", [later], "z")
    write_labels(local, "c", [GOOD, latest], "a")
    [row] = read_labels(local, "c").to_pylist()
    assert Label(**row) == latest


def test_a_csv_of_a_spreadsheet(local: LocalStore) -> None:
    text = (
        "\ufeffimage_key, label ,kind,labelled_at,comment\r\n"
        "images/c/1.png,normal,,2026-03-03T04:00:00+02:00,fine\r\n"
        '"images/c/a, b.png", anomalous ,dent,2026-03-03,\r\n'
    ).replace(" label ", "label")
    local.write("labels/c/by hand.csv", text.encode())
    local.write("labels/c/masks/2026-03-02/x.csv", b"no labels")
    local.write("labels/c/readme.txt", b"no labels")
    rows = read_labels(local, "c").to_pylist()
    assert [(row["image_key"], row["label"], row["kind"]) for row in rows] == [
        ("images/c/1.png", "normal", None),
        ("images/c/a, b.png", "anomalous", "dent"),
    ]
    assert rows[0]["labelled_at"] == NOW
    assert rows[1]["labelled_at"] == datetime(2026, 3, 3, tzinfo=UTC)


def test_a_label_without_a_time_is_as_old_as_its_file(local: LocalStore) -> None:
    local.write("labels/c/a.csv", b"image_key,label\nimages/c/1.png,anomalous\n")
    write_labels(local, "c", [GOOD], "b")  # months before the file was written
    [row] = read_labels(local, "c").to_pylist()
    assert row["label"] == "anomalous"
    assert datetime.now(UTC) - row["labelled_at"] < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image_key,label\na,normal\nb,okay\n", r"bad.csv, row 3: the label 'okay' is unknown.*normal or anomalous"),
        ("image_key,verdict\na,normal\n", r"bad.csv has no column label .*verdict.*image_key and label"),
        ("", r"no column image_key and no column label"),
        ("image_key,label\n,normal\n", r"row 2: image_key is empty"),
        ("image_key,label,labelled_at\na,normal,last week\n", r"row 2: labelled_at 'last week'"),
    ],
)
def test_a_mistake_in_a_csv_is_named(local: LocalStore, text: str, words: str) -> None:
    local.write("labels/c/bad.csv", text.encode())
    with pytest.raises(StorageError, match=words):
        read_labels(local, "c")


def test_files_that_are_not_what_they_are_called(local: LocalStore) -> None:
    local.write("labels/c/bad.csv", "image_key,label\nübel,normal\n".encode("latin-1"))
    with pytest.raises(StorageError, match="UTF-8"):
        read_labels(local, "c")
    local.write("labels/d/bad.parquet", b"PAR1 no")
    with pytest.raises(CorruptObject, match=r"bad\.parquet"):
        read_labels(local, "d")
    local.write("labels/e/bad.parquet", parquet.to_bytes(pa.table({"image_key": ["a"]})))
    with pytest.raises(StorageError, match="no column label"):
        read_labels(local, "e")


def test_wrong_labels_are_not_written(local: LocalStore) -> None:
    for wrong in (replace(GOOD, label="good"), replace(GOOD, labelled_at=NOW.replace(tzinfo=None))):
        with pytest.raises(StorageError, match="row 1"):
            write_labels(local, "c", [GOOD, wrong], "x")
    with pytest.raises(InvalidKey):
        write_labels(local, "c", [GOOD], "../x")
    assert list(local.list("")) == []
