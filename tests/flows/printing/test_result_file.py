"""The file that a query writes: whole or not there, and nobody else's."""

import errno
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.commands.tables.query import query_output
from flows.printing import result_file
from flows.printing.result_file import FileNotWritten, refuse_unusable, write_file
from flows.settings import SettingsError
from storage.errors import QueryError

SQL = """
SELECT range::INTEGER AS n, (range / 3)::FLOAT AS score, DATE '2026-03-02' AS day, [range] AS places, NULL AS nothing,
       TIMESTAMPTZ '2026-03-02 01:02:03+00' AS at, sum(range) OVER () AS total, 'ä"' AS name
FROM range(3)
"""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("plant"))


@pytest.mark.parametrize("name", ["a.csv", "a.json"])
def test_a_file_holds_what_is_printed(
    plant: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query_output(plant, SQL, "table", tmp_path / name)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"3 rows of 8 columns: {tmp_path / name}\n")
    query_output(plant, SQL, name[2:])
    assert (tmp_path / name).read_bytes().decode() == capsys.readouterr().out
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_parquet_has_the_types_of_the_columns(plant: str, tmp_path: Path) -> None:
    query_output(plant, SQL, "table", tmp_path / "a.PARQUET")
    found = pq.read_table(tmp_path / "a.PARQUET")
    assert found.schema.field("score").type == pa.float32()
    assert found.to_pylist()[2] == {
        "n": 2,
        "score": float(pa.scalar(2 / 3, pa.float32()).as_py()),
        "day": date(2026, 3, 2),
        "places": [2],
        "nothing": None,
        "at": datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC),
        "total": Decimal(3),
        "name": 'ä"',
    }


def test_large_answers_pass_through(plant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.commands.tables.query._ROWS_OF_A_FILE", 2048)
    query_output(plant, "FROM range(5000)", "table", tmp_path / "a.parquet")
    written = pq.ParquetFile(tmp_path / "a.parquet")
    assert (written.metadata.num_rows, written.num_row_groups) == (5000, 3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.xlsx", r"'\.xlsx' is not known.*\.csv, \.parquet, \.json"),
        ("scores", r"no ending.*\.csv, \.parquet, \.json"),
        ("there.csv", "there already and was left as it is"),
        ("dangling.csv", "there already and was left as it is"),
        ("none/a.csv", "none is not there, so nothing was written"),
        ("there.csv/a.csv", "is no folder, so nothing was written"),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_is_asked(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "there.csv").write_text("somebody's thesis")
    (tmp_path / "dangling.csv").symlink_to("nowhere")
    with pytest.raises(SettingsError, match=words):
        query_output("no-store", "SELECT", "table", tmp_path / name)
    assert (tmp_path / "there.csv").read_text() == "somebody's thesis"


def test_a_bucket_is_no_file_of_this_machine() -> None:
    with pytest.raises(SettingsError, match="file of this machine"):
        refuse_unusable(Path("s3://bucket/a.csv"))


def test_a_folder_that_may_not_be_written_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SettingsError, match=f"may not write to the folder {tmp_path}"):
        refuse_unusable(tmp_path / "a.csv")


SCHEMA = pa.schema([("n", pa.int64())])


def _batches(then: BaseException | None = None) -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_pylist([{"n": 1}, {"n": 2}], schema=SCHEMA)
    if then is not None:
        raise then


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.parquet"])
@pytest.mark.parametrize("then", [QueryError("why"), KeyboardInterrupt()], ids=repr)
def test_of_a_query_that_fails_nothing_is_kept(tmp_path: Path, name: str, then: BaseException) -> None:
    with pytest.raises(type(then)):
        write_file(tmp_path / name, SCHEMA, _batches(then))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.parquet"])
def test_a_full_disk_is_told_and_nothing_is_kept(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileNotWritten, match=r"No space left.*nothing of it was kept\. Make room"):
        write_file(tmp_path / name, SCHEMA, _batches())
    assert not list(tmp_path.iterdir())


def test_a_file_that_came_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.json"

    def batches() -> Iterator[pa.RecordBatch]:
        target.write_text("theirs")
        yield from _batches()

    for no_links in (False, True):
        if no_links:
            monkeypatch.setattr(os, "link", _no_links)
        with pytest.raises(FileNotWritten, match="it was left as it is"):
            write_file(target, SCHEMA, batches())
        assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.json", "theirs")]


def _no_links(*_: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_file.os, "link", _no_links)
    assert write_file(tmp_path / "a.csv", SCHEMA, _batches()) == 2
    assert (tmp_path / "a.csv").read_text().split() == ["n", "1", "2"]
    assert write_file(tmp_path / "a.json", SCHEMA, iter([])) == 0
    assert (tmp_path / "a.json").read_text() == ""


def test_what_parquet_has_no_type_for_is_told(plant: str, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="no type for column 'u'"):
        query_output(plant, "SELECT union_value(n := 2) AS u", "table", tmp_path / "a.parquet")
    assert not list(tmp_path.iterdir())


def test_an_error_that_comes_while_rows_are_read_is_one_of_the_query(plant: str, tmp_path: Path) -> None:
    late = "SELECT CASE WHEN range = 400000 THEN error('too late') ELSE range END FROM range(500000)"
    with pytest.raises(QueryError, match="too late"):
        query_output(plant, late, "table", tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())
