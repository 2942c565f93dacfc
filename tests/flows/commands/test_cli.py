"""The command line: what it prints, and its exit codes."""

import atexit
import gc
import json
import logging
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.commands.frame import _ErrorOnce, _import, _is_not_the_last_line
from flows.errors import RunFailed
from flows.settings import SettingsError
from proofs.seaweed import SECRET_KEY
from storage.filesystem import Store
from tests.factories import DAY, png, put_images, put_model
from tests.object_stores import Bucket
from tests.photo_folders import write_files


def call(*arguments: str, code: int = 0, width: int = 300) -> str:
    """Run a command in this process; what it printed."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": f"{width}", "TERM": "dumb"}, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def flat(text: str) -> str:
    return " ".join(text.split())


def test_help_of_the_program_names_the_exit_codes() -> None:
    assert "Exit codes: 0 done; 1 something is missing or wrong" in flat(call("--help"))


def test_a_store_without_a_complete_day_is_checked_in_plain_words(store: Store) -> None:
    told = call("verify", "--store", store.uri)
    assert "No day is complete yet; the rest of the store was checked: nothing is wrong" in told


def test_import_then_query_labels(tmp_path: Path) -> None:
    photos = {name: png(1) for name in ("train/ok/0.png", "test/good/1.png", "test/hole/2.png", "test/extra/3.png")}
    folder = write_files(tmp_path / "photos", {**photos, "test/good/Thumbs.db": b"x", "test/good/notes.txt": b"x"})
    plant = str(tmp_path / "plant")
    command = ["import", str(folder), "--category", "cloth", "--run-date", str(DAY), "--store", plant]
    said = call(*command)
    for line in (
        "1 labelled normal (2026-03-01), 2 images of 2026-03-02 (1 labelled anomalous, 0 masks)",
        "New: 3 images, 3 labels. Already there: 0 images.",
        "Left out, 2:",
        "test/good/notes.txt",
        "1 test/extra/ does not say whether its parts are good",
        "Skipped what systems leave behind, 1: test/good/Thumbs.db",
    ):
        assert line in flat(said)
    assert "New: 1 image, 1 label. Already there: 3 images." in flat(call(*command, "--word", "extra=normal"))
    rows = call("query", "SELECT label, count(*) AS n FROM labels GROUP BY 1 ORDER BY 1", "--store", plant,
                "--format", "json")  # fmt: skip
    assert [json.loads(line) for line in rows.splitlines()] == [
        {"label": "anomalous", "n": 1},
        {"label": "normal", "n": 3},
    ]
    write_files(folder, {"test/good/1.png": png(2)})
    assert "would be replaced by others" in flat(call(*command, code=2))
    assert "the store has a category cloth, and Cloth would be another" in flat(
        call(*("Cloth" if word == "cloth" else word for word in command), code=2)
    )
    for more in (["--prefix", "../x"], ["--word", "extra"], ["--word", "extra=fine"]):
        call(*command, *more, code=2)


def test_the_store_may_come_from_the_environment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put_model(store, "cloth")
    monkeypatch.setenv("RD_INSPECT_STORE", store.uri)
    assert "v1" in call("models")
    assert "v1" in call("models", "--store", store.uri, "--store", store.uri), "twice the same contradicts nothing"


def test_models_lists_versions_and_prints_a_card(store: Store) -> None:
    put_model(store, "cloth", "v1")
    put_model(store, "cloth", "v2", champion=False)
    at = ("--store", store.uri)
    lines = [line for line in call("models", *at).splitlines() if "cloth" in line]
    assert [("v2" in line, "yes" in line) for line in lines] == [(True, False), (False, True)]
    card = json.loads(call("models", "--store", store.uri, "--category", "cloth", "--version", "v2"))
    assert card["version"] == "v2"
    assert "did you mean 'cloth'? Train one: rd-inspect train" in flat(
        call("models", *at, "--category", "clot", code=2)
    )
    (Path(store.uri) / "models/cloth/v2/card.json").write_text("{")
    told = call("models", *at)
    assert "damaged" in told and "v1" in told


def test_a_query_in_csv(store: Store) -> None:
    store.write("labels/cloth/bad.csv", b"image_key,label\na,okay\n")
    told = call("query", "SELECT count(*) AS n FROM labels", "--store", store.uri, "--format", "csv")
    assert "n\n0\n" in told and "without labels/cloth/bad.csv" in told
    assert call("query", "SELECT 1 AS a, 'x,y' AS b", "--store", store.uri, "--format", "csv") == 'a,b\n1,"x,y"\n'


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["models"], "No store is named"),
        (["models", "--store", "{tmp}/nowhere"], "nowhere"),
        (["models", "--store", "ftp://host/x"], "ftp"),
        (["query", "SELECT nonsense", "--store", "{tmp}"], "nonsense"),
        (["query", "SELECT * FROM latest", "--store", "{tmp}", "--format", "xml"], "xml"),
        (["import", "{tmp}", "--category", "cloth", "--run-date", "2026-03-02", "--store", "{tmp}"], "train/good"),
        (
            ["import", "{tmp}/no", "--category", "cloth", "--run-date", "2026-03-02", "--store", "{tmp}"],
            "no such folder",
        ),
        (["import", "{tmp}", "--category", "cloth", "--run-date", "yesterday", "--store", "{tmp}"], "yesterday"),
        (["models", "--store", "{tmp}", "--version", "v1"], "--category"),
        (["models", "--store", "{tmp}", "--category", "../x"], "../x"),
        (["demo", "--store", "s3://bucket"], "local folder"),
        (["inspect", "--run-date", "2026-03-02", "--store", "{tmp}/nowhere"], "nowhere"),
        (["train", "--store", "{tmp}"], "rd-inspect import"),
        (["train", "--store", "{tmp}", "--alpha", "7"], "alpha"),
        (["train", "--store", "{tmp}", "--image-size", "250"], "256 is"),
        (
            ["train", "--store", "{tmp}", "--category", "clot"],
            "Nothing was started. The store has none yet: rd-inspect import",
        ),
        (["retrain", "--store", "{tmp}", "--category", "clot"], "no category 'clot'"),
        (["review", "--store", "{tmp}", "--category", "clot"], "no category 'clot'"),
        (["verify", "--store", "{tmp}", "--category", "clot"], "no category 'clot'"),
        (["inspect", "--run-date", "2062-03-02", "--store", "{tmp}"], "in the future"),
        (["inspect", "--run-date", "2026-03-02", "--store", "{tmp}"], "--images"),
        (["inspect", "--run-date", "2026-03-02", "--store", "{tmp}", "--images", "{tmp}/line"], "line"),
        (["evaluate", "--from", "2062-03-02", "--store", "{tmp}"], "in the future"),
        (["drift", "--to", "2062-03-02", "--store", "{tmp}"], "in the future"),
        (["backfill", "--to", "2062-03-02", "--store", "{tmp}"], "in the future"),
        (["status", "--to", "2062-03-02", "--store", "{tmp}"], "in the future"),
        (["import", "{tmp}", "--category", "cloth", "--run-date", "2062-03-02", "--store", "{tmp}"], "in the future"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_is_wrong(
    tmp_path: Path, prefect_api: str, arguments: list[str], words: str
) -> None:
    assert words in flat(call(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments), code=2))


def test_the_demo_never_empties_a_folder_it_did_not_make(tmp_path: Path, prefect_api: str) -> None:
    (tmp_path / "thesis.txt").write_text("ten years of work")
    assert "was left as it is" in flat(call("demo", "--store", str(tmp_path), code=2))
    assert (tmp_path / "thesis.txt").exists()


def test_wrong_credentials_exit_with_2_and_show_no_secret(
    seaweed_s3: Bucket, monkeypatch: pytest.MonkeyPatch, prefect_api: str
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a wrong and secret key")
    said = call("inspect", "--run-date", str(DAY), "--store", seaweed_s3.uri, code=2)
    assert "AWS_ACCESS_KEY_ID" in flat(said)
    assert "a wrong and secret key" not in said
    assert SECRET_KEY not in said
    assert os.environ["AWS_ACCESS_KEY_ID"] not in said


@pytest.mark.parametrize(
    ("error", "kept"), [(RunFailed("no model"), False), (SettingsError("alfa"), False), (ZeroDivisionError(), True)]
)
def test_the_log_has_lines_of_code_for_bugs_alone_and_what_the_command_tells_is_marked(
    error: Exception, kept: bool
) -> None:
    def record(message: str, raised: bool) -> logging.LogRecord:
        info = (type(error), error, None) if raised else None
        one = logging.LogRecord("prefect.flow_runs", logging.ERROR, "", 1, message, (), info)
        assert once.filter(one)
        return one

    once = _ErrorOnce()
    began = record(f"Encountered exception during execution: {error!r}", raised=True)
    finished = record(
        f"Finished in state Failed('Flow run encountered an exception: {type(error).__name__}: x')", False
    )
    report = record("report failed kind=drift", raised=True)
    assert [bool(one.exc_info) for one in (began, report)] == [kept, kept]
    assert [_is_not_the_last_line(one) for one in (began, finished, report)] == [kept, kept, True]


def test_what_an_import_keeps_from_the_collector_is_let_go_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    at_the_end: list[object] = []
    monkeypatch.setattr(atexit, "register", at_the_end.append)
    _import("json")
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
    assert at_the_end == [gc.unfreeze]


def test_a_failed_run_exits_with_1_and_says_what_to_run(store: Store, scheduler: str) -> None:
    put_images(store, "cloth", ["a.png"])
    said = call("inspect", "--run-date", str(DAY), "--store", store.uri, "--dask-address", scheduler, code=1)
    assert "Traceback" not in said
    assert "rd-inspect train --category cloth" in flat(said)
    assert "no champion" in flat(said)
    assert "Report:" in said


def test_a_night_by_command(store: Store, scheduler: str) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png", "b.png"])
    said = call("inspect", "--run-date", str(DAY), "--store", store.uri, "--dask-address", scheduler)
    assert "completed" in flat(said)
    report = Path(flat(said).split("Report: ")[1].split()[0])
    assert report.read_text().startswith("<!doctype html>")
