"""rd-inspect score: rows as they come, one way or another, and nothing written to the store."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.printing.output import standard_output
from flows.printing.score import print_scores
from storage.filesystem import LocalStore, Store, open_store
from tests.factories import everything_below, png, put_model
from tests.photo_folders import write_files


@pytest.fixture
def plant(store: Store) -> Store:
    put_model(store, "cloth")
    return store


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    files = {f"photos/{name}.png": png(seed) for seed, name in enumerate(("a", "b", "night/a"))}
    return write_files(tmp_path, files) / "photos"


def score(plant: Store, *arguments: object, code: int = 0, category: str = "cloth") -> tuple[str, str]:
    """What the command printed, and what it said."""
    given = ["score", *map(str, arguments), "--category", category, "--store", plant.uri]
    result = CliRunner().invoke(app, given, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout, " ".join(result.stderr.split())


def test_rows_are_the_same_in_every_form_and_the_store_is_as_it_was(
    plant: Store, photos: Path, tmp_path: Path
) -> None:
    before = everything_below(Path(plant.uri), ".")
    printed, said = score(plant, photos, "--format", "json")
    assert said.startswith("3 images by model v1 of cloth: 3 reject. Next, to see where: rd-inspect score ")
    rows = [json.loads(line) for line in printed.splitlines()]
    assert [row["path"] for row in rows] == [str(photos / name) for name in ("a.png", "b.png", "night/a.png")]
    for ending in (".json", ".csv", ".parquet"):
        assert score(plant, photos, "--out", tmp_path / f"rows{ending}")[0] == ""
    assert (tmp_path / "rows.json").read_text() == printed
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == rows
    csv = pa.csv.read_csv(tmp_path / "rows.csv").to_pylist()
    exact = pq.read_table(tmp_path / "rows.parquet")["score"]
    assert [row["score"] for row in csv] == exact.cast(pa.float64()).to_pylist()
    table = score(plant, photos)[0].splitlines()
    assert table[0].split()[:3] == ["image", "decision", "score"]
    assert [line.split()[1] for line in table[1:]] == ["reject"] * 3
    assert everything_below(Path(plant.uri), ".") == before


def test_bad_pictures_are_rows_and_the_last_line_names_them(plant: Store, photos: Path, tmp_path: Path) -> None:
    write_files(photos, {"cut.png": png(1)[:200], ".DS_Store": b"x"})
    printed, said = score(
        plant, photos / "nope.png", photos, "--overlays", tmp_path / "seen", "--format", "json", code=1
    )
    rows = {row["path"]: row for row in map(json.loads, printed.splitlines())}
    assert [Path(path).name for path, row in rows.items() if row["status"] != "ok"] == ["nope.png", "cut.png"]
    assert "1 file or folder: .DS_Store" in said
    assert said.endswith(f"cut.png: {rows[str(photos / 'cut.png')]['error']}")
    assert f"2 of 5 could not be scored: {photos}/nope.png: there is no such file;" in said
    drawn = [row["overlay"] for row in rows.values() if row["overlay"]]
    assert sorted(drawn) == sorted(map(str, (tmp_path / "seen").rglob("*.png"))) and len(drawn) == 3


def test_a_version_may_be_named_and_the_command_to_see_more_can_be_pasted(plant: Store, photos: Path) -> None:
    put_model(plant, "cloth", "v2", champion=False)
    odd = photos.rename(photos.with_name("it's here"))
    _, said = score(plant, odd / "a.png", "--model", "v2")
    assert "by model v2 of cloth" in said
    assert "'\"'\"'s here/a.png' --category cloth --store " in said and "--model v2 --overlays FOLDER" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{photos}", "--model", "w1"], "no model 'w1' of 'cloth' in {store}; did you mean 'v1'?"),
        (["s3://bucket/a.png"], "is an address"),
        (["{photos}", "--out", "{photos}/a.txt"], "'.txt' is not known"),
        (["{photos}", "--out", "{photos}/there.csv"], "there already"),
        (["{photos}", "--out", "{store}/rows.csv"], "lies within the store"),
        (["{photos}", "--overlays", "{store}/seen"], "lies within the store"),
        (["{photos}", "--overlays", "{photos}/seen"], "would score its images"),
        (["{photos}/b.png", "--overlays", "{photos}/a.png"], "cannot be used as a folder"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_scored(
    plant: LocalStore, photos: Path, arguments: list[str], words: str
) -> None:
    (photos / "there.csv").write_text("mine")
    places = {"photos": str(photos), "store": plant.uri}
    printed, said = score(plant, *(one.format(**places) for one in arguments), code=2)
    assert (printed, words.format(**places) in said) == ("", True), said
    assert (photos / "there.csv").read_text() == "mine"


def test_a_category_without_a_model_or_a_champion_is_told(plant: Store, photos: Path) -> None:
    put_model(plant, "felt", "v7", champion=False)
    assert (
        "did you mean 'cloth'? There are models of cloth, felt." in score(plant, photos, category="clot", code=2)[1]
    )
    assert "--model (v7)" in score(plant, photos, category="felt", code=1)[1]


def test_names_on_standard_input_are_answered_one_by_one_without_server_and_cluster(
    plant: Store, photos: Path
) -> None:
    """Its writer goes on when it has read the answer, so that rows that wait for more would wait for ever."""
    code = """
import sys
from flows.cli import app
app(["score", "-", "--category", "cloth", "--format", "csv"], standalone_mode=False)
print(*sorted({"prefect", "distributed", "torch._dynamo", "scipy.stats", "torch"} & set(sys.modules)))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "RD_INSPECT_STORE": plant.uri, "PYTHONUNBUFFERED": ""},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
    ) as command:  # fmt: skip
        assert command.stdin and command.stdout and command.stderr
        try:
            for lines, named, path in ((2, "a.png", "a.png"), (1, "night", "night/a.png")):
                command.stdin.write(f"{photos / named}\n".encode())
                for _ in range(lines):  # the first is the names of the columns
                    assert select.select([command.stdout], [], [], 60)[0]
                    line = command.stdout.readline().decode()
                assert line.startswith(str(photos / path))
            command.stdin.close()
            assert command.stdout.read().split() == [b"torch"]
            assert b"2 images by model v1" in command.stderr.read()
        finally:
            command.kill()
        assert command.wait() == 0


def test_a_reader_who_has_enough_ends_it_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stdout", standard_output())
        print_scores([], pa.schema([]), "table")
        sys.stdout.write("nobody reads this, and nobody is told")
        sys.stdout.close()


def test_a_store_that_is_not_there_is_wrong_use(tmp_path: Path, photos: Path) -> None:
    assert "is not a folder" in score(open_store(tmp_path / "nowhere"), photos, code=2)[1]
