"""Every snippet of README, docs/ and --help is run on a small plant, or parsed by what would run it, or named below
with the reason why it cannot be."""

import ast
import contextlib
import csv
import importlib.util
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import yaml
from typer.exceptions import TyperException
from typer.testing import CliRunner

import flows.inspection
import flows.prefect_server
from flows.cli import app
from flows.settings import load_settings
from storage.analysis import benchmark_rows
from storage.filesystem import Store, open_store
from storage.labels.labels import rows_in
from storage.stores import parquet
from tasks.drift.write_drift_report import SCHEMA as DRIFT
from tasks.evaluation.write_evaluation_report import FIGURES
from tests.documents import CLI, ROOT, Snippet, snippets
from tests.factories import png, put_model
from tests.labelled_night import SIDE, Shot, night, put_night
from tests.photo_folders import write_files

ALL = snippets()
UNREAD = np.zeros((SIDE, SIDE), np.float16)
BAD = [Shot(f"{status}/0.png", UNREAD, status=status) for status in ("unreadable", "rejected")]
READS = {"models", "query", "status", "verify", "gc", "--version"}
"""commands that are run here: they only read (gc does without --yes)"""
PLACEHOLDERS = {"D": "2026-11-21", "C": "cloth", "V": "v1", "DAYS": "7", "FOLDER": "photos"}
NOT_RUN = {
    ".": "it changes the shell that runs it",
    "cd": "likewise",
    "export": "likewise",
    "cp": "for a machine of one's own; tests/deploy holds the files that are named",
    "install": "likewise",
    "mkdir": "likewise",
    "useradd": "likewise",
    "systemctl": "likewise",
    "docker": "needs a Docker engine; tests/deploy parses the files",
    "git": "needs the repository's address",
    "prefect": "needs a Prefect server; the deployments that are named are looked up",
    "node_exporter": "a program of somebody else's",
}
"""first words of commands that cannot run here, and why"""
LAYOUT = "images/<category>/<run_date>/"
"""beginning of the block that shows a store's layout"""
TABLE = "image_key,"
"""beginning of a table of labels"""


def of_kind(*kinds: str) -> list[Any]:
    return [pytest.param(snippet, id=snippet.where) for snippet in ALL if snippet.kind in kinds]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """./plant: two sealed nights with images that have no score, a real model, and the tables of reports."""
    folder = tmp_path_factory.mktemp("docs")
    with contextlib.chdir(folder):
        store = open_store("plant", create=True)
        for name in ("cloth", "tile"):
            put_model(store, name)
            put_night(store, name, night(normal=4, anomalous=4), date(2026, 11, 20))
            put_night(store, name, [*night(1, normal=4, anomalous=4), *BAD], date(2026, 11, 21))
        write_files(folder / "photos", {name: png(1) for name in ("a.png", "b.png", "cloth/c.png")})
        put_empty(folder / "plant/reports/evaluation/2026-11-20_2026-11-21/figures.parquet", FIGURES)
        put_empty(folder / "plant/reports/drift/2026-11-20_2026-11-21/drift.parquet", DRIFT)
        put_empty(folder / "mvtec.parquet", benchmark_rows.SCHEMA)
        yield store


def put_empty(path: Path, schema: pa.Schema) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(parquet.to_bytes(schema.empty_table()))


# Commands


def is_shell(snippet: Snippet) -> bool:
    """Whether the block is to be typed into a shell."""
    return snippet.kind in ("", "indented") and not snippet.text.startswith((TABLE, LAYOUT))


def commands(snippet: Snippet) -> list[list[str]]:
    """The calls of rd-inspect in it, as the shell would pass them."""
    calls = []
    for line in snippet.lines if "rd-inspect " in snippet.text else ():
        for _, words in groupby(shlex.split(line, comments=True), lambda word: word in {"|", "&&", ";"}):
            first, *call = words
            calls += [[PLACEHOLDERS.get(word, word) for word in call]] if first == "rd-inspect" and call else []
    return calls


CALLS = [
    pytest.param(call, id=f"{snippet.where} {' '.join(call)[:40]}")
    for snippet in ALL
    if is_shell(snippet) or snippet.kind in ("inline", "help")
    for call in commands(snippet)
]


def parsed(call: list[str]) -> None:
    """Raises click's error if the command has no such option or argument, or takes no such value."""
    name, *arguments = call
    if name.startswith("-"):
        CLI.make_context("rd-inspect", [name, "query"], resilient_parsing=True)
        return
    command = CLI.commands[name]
    if arguments:  # else the command is only named
        command.make_context(name, arguments)


@pytest.mark.parametrize("call", CALLS)
def test_every_command_has_the_options_it_is_shown_with(call: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RD_INSPECT_STORE", "plant")
    parsed(call)


@pytest.mark.parametrize(
    "call", [case for case in CALLS if case.values[0][0] in READS and "--yes" not in case.values[0]]
)
def test_commands_that_read_run(call: list[str], plant: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RD_INSPECT_STORE", "plant")
    if len(call) == 1 and call != ["models"]:
        return  # named in a sentence
    result = CliRunner().invoke(app, call, env={"COLUMNS": "200"}, catch_exceptions=False)
    assert result.exit_code == (1 if call[0] == "verify" else 0), result.output  # the plant's digests are drawn
    assert "Traceback" not in result.output and "rd-inspect:" not in result.output.replace("rd-inspect: 0", "")


@pytest.mark.parametrize(
    "wrong",
    [["inspect", "--date", "2026-11-21"], ["status", "--from", "November"], ["nights", "--store", "x"],
     ["query", "SELECT 1", "--format", "toml"]],
)  # fmt: skip
def test_a_command_that_is_not_there_would_be_noticed(wrong: list[str]) -> None:
    with pytest.raises((TyperException, KeyError)):
        parsed(wrong)


# Blocks of other commands


def test_every_line_to_type_is_run_or_has_its_reason() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    deployed = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    names = {f"{item['entrypoint'].rpartition(':')[2].replace('_', '-')}/{item['name']}" for item in deployed}
    for snippet in filter(is_shell, ALL):
        for line in snippet.lines:
            first, *words = shlex.split(line, comments=True)
            if first == "make":
                assert set(words) - {word for word in words if "=" in word} <= targets, snippet.where
            elif first == "python" and words[0] == "-m":
                assert importlib.util.find_spec(words[1]), f"{snippet.where}: {line}"
            elif first == "prefect" and words[:2] == ["deployment", "run"]:
                assert words[2] in names, f"{snippet.where}: {line}"
            else:
                assert first in {"rd-inspect", "python", *NOT_RUN}, f"{snippet.where}: {line} is run by no test"


@pytest.mark.parametrize("snippet", [case for case in of_kind("") if case.values[0].text.startswith(TABLE)])
def test_tables_of_labels_are_read(snippet: Snippet) -> None:
    assert (
        len(list(rows_in(snippet.text.encode(), "labels.csv")))
        == len(list(csv.reader(io.StringIO(snippet.text)))) - 1
    )


# Other languages


def test_every_language_has_its_test() -> None:
    known = {"", "indented", "inline", "help", "mermaid", "python", "sql", "toml", "xml", "yaml"}
    assert {snippet.kind for snippet in ALL} <= known


@pytest.mark.parametrize("snippet", of_kind("python"))
def test_python_runs_as_it_stands(snippet: Snippet, plant: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    # A night and its server take half a minute, and tests/flows runs them: here the calls are looked at alone.
    known = {field.name for field in fields(flows.inspection.InspectionRun)}
    run = SimpleNamespace(**dict.fromkeys(known, "drawn"))
    monkeypatch.setattr(flows.prefect_server, "prefect_server", contextlib.nullcontext)
    monkeypatch.setattr(flows.inspection, "inspect_images", calls_like(flows.inspection.inspect_images, run))
    results = executed(snippet)
    assert all(len(result) for result in results if hasattr(result, "__len__")), f"{snippet.where}: a result is empty"


def calls_like(flow: Any, result: object) -> Any:
    """A function with the flow's parameters."""

    def call(*args: object, **named: object) -> object:
        flow.validate_parameters(dict(zip(flow.parameters.properties, args, strict=False)) | named)
        return result

    return call


def executed(snippet: Snippet) -> list[object]:
    """What each expression of the snippet gave."""
    names: dict[str, Any] = {"__name__": "__main__"}
    results = []
    for statement in ast.parse(snippet.text, snippet.where).body:
        if isinstance(statement, ast.Expr):
            results.append(eval(compile(ast.Expression(statement.value), snippet.where, "eval"), names))
        else:
            exec(compile(ast.Module([statement], []), snippet.where, "exec"), names)
    return results


@pytest.mark.parametrize("snippet", of_kind("sql"))
def test_sql_is_understood(snippet: Snippet, plant: Store) -> None:
    duckdb.sql(snippet.text).fetchall()


@pytest.mark.parametrize(
    "snippet", [case for case in of_kind("indented", "") if case.values[0].text.startswith("python -c")]
)
def test_python_on_the_command_line_runs(snippet: Snippet, plant: Store) -> None:
    for line in snippet.lines:
        _, _, code = shlex.split(line)
        exec(compile(code, snippet.where, "exec"), {})


@pytest.mark.parametrize("snippet", of_kind("toml"))
def test_settings_are_known(snippet: Snippet, tmp_path: Path) -> None:
    (tmp_path / "categories.toml").write_text(snippet.text)
    load_settings(str(tmp_path))


@pytest.mark.parametrize("snippet", of_kind("xml", "yaml"))
def test_files_for_other_programs_are_well_formed(snippet: Snippet) -> None:
    if snippet.kind == "xml":
        ElementTree.fromstring(snippet.text)
    else:
        yaml.safe_load(snippet.text)
