"""What stands before any command, and what is wrong of its options."""

import re

import pytest
from typer.testing import CliRunner

from flows.cli import app

LONG = "s3://bucket/a/prefix/that/is/longer/than/any/terminal/of/eighty/columns/could/show/on/one/line/of/text"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["quer"], "No such command 'quer'. Did you mean 'query'?"),
        (["inspect", "--rundate", "x"], "No such option: --rundate"),
        (["labels", "a.csv", "--category", "nut", "--word", f"{LONG}=", "--word", LONG], f"--word '{LONG}' is not"),
        (["inspect", "--run-date", "21.11.2026"], "'21.11.2026' is no day; write it like 2026-11-21"),
        (["status", "--format", "xml"], "'--format': 'xml' is not one of 'table'"),
        (["gc", "--older-than", "-1"], "'--older-than': it must be greater than or equal to 0"),
        (["query"], "Error: Missing argument 'SQL'."),
        (["compare", "--category", "a", "--category", "b"], "given with 'a' and 'b', and compare takes one value"),
        (["status", "--to", "2026-11-21", "--store", "x", "--to=2026-11-22"], "with '2026-11-21' and '2026-11-22'"),
        (["inspect", "--reports", "--no-reports"], "--reports and --no-reports contradict each other"),
        (["query", "SELECT 1", "--out", "a.csv", "--format", "csv"], "goes by the ending of its file"),
    ],
)
def test_wrong_use_is_a_line_that_no_width_breaks(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert words in (last := done.stderr.splitlines()[-1]) and not last.endswith(". .")


def test_without_a_command_all_are_shown() -> None:
    done = CliRunner().invoke(app, [])
    assert (done.exit_code, "A first day:" in done.output) == (2, True)


def test_the_version_is_told_with_those_of_what_it_stands_on() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0
    assert re.fullmatch(r"rd-inspect \d+\.\d+\.\d+ \(Python 3\.\d+\.\d+, torch \d.*, duckdb \d.*\)\n", done.output)
