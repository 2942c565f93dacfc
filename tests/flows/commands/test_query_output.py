"""What a query found, printed: every type of DuckDB as a value that others can read."""

import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import typer

from flows.commands.tables.query import query_output, result_table
from storage.analysis.queries import run_query
from storage.errors import QueryError
from storage.filesystem import open_store
from storage.layout import seal_key

_MOMENT = "2026-03-02 01:02:03"
VALUES: list[tuple[str, Any, str]] = [
    ("true", True, "true"),
    ("NULL", None, ""),
    ("sum(1)", 1, "1"),
    ("18446744073709551615::UBIGINT", 2**64 - 1, str(2**64 - 1)),
    ("(-170141183460469231731687303715884105727)::HUGEINT", -(2**127 - 1), str(-(2**127 - 1))),
    ("340282366920938463463374607431768211455::UHUGEINT", 2**128 - 1, str(2**128 - 1)),
    ("123456789012345678901234567890123456789012::BIGNUM", int("1234567890" * 4 + "12"), "1234567890" * 4 + "12"),
    ("1.50::DECIMAL(10, 2)", 1.5, "1.50"),
    ("12345678901234567890.123::DECIMAL(38, 3)", 12345678901234567890.123, "12345678901234567890.123"),
    ("0.25::DOUBLE", 0.25, "0.25"),
    ("'nan'::DOUBLE", None, "nan"),
    ("'-inf'::FLOAT", None, "-inf"),
    ("'Jürgen, \"J\"'", 'Jürgen, "J"', 'Jürgen, "J"'),
    ("'a'::ENUM('a', 'b')", "a", "a"),
    ("'\\xAA\\x00'::BLOB", "aa00", "aa00"),
    ("'10101'::BIT", "10101", "10101"),
    ("UUID '12345678-1234-1234-1234-123456789abc'", *["12345678-1234-1234-1234-123456789abc"] * 2),
    ("DATE '2026-03-02'", "2026-03-02", "2026-03-02"),
    (f"TIMESTAMP '{_MOMENT}'", "2026-03-02T01:02:03", "2026-03-02T01:02:03"),
    (f"TIMESTAMPTZ '{_MOMENT}+00'", "2026-03-02T01:02:03+00:00", "2026-03-02T01:02:03+00:00"),
    (f"TIMESTAMP_NS '{_MOMENT}.123456789'", *["2026-03-02T01:02:03.123456789"] * 2),
    ("TIMESTAMPTZ_NS '2026-03-02 01:02:03.123456789+00'", *["2026-03-02T01:02:03.123456789Z"] * 2),
    ("TIME '24:00:00'", "24:00:00", "24:00:00"),
    ("TIMETZ '01:02:03+05'", "01:02:03+05", "01:02:03+05"),
    ("INTERVAL '1 month 2 days'", "1 month 2 days", "1 month 2 days"),
    ("[1, NULL, 3]", [1, None, 3], "[1, null, 3]"),
    ("[]", [], "[]"),
    ("array_value(1.5::FLOAT, 'inf'::FLOAT)", [1.5, None], "[1.5, null]"),
    ("MAP {'a': 1::HUGEINT}", {"a": 1}, '{"a": 1}'),
    ("MAP {1: DATE '2026-03-02'}", {"1": "2026-03-02"}, '{"1": "2026-03-02"}'),
    ("MAP {}::MAP(INT, INT)", {}, "{}"),
    ("union_value(n := 2)", 2, "2"),
    ("row(1, 'x')", {"element1": 1, "element2": "x"}, '{"element1": 1, "element2": "x"}'),
    (
        "[{'a': 'nan'::DOUBLE, 'b': INTERVAL '1 month'}]",
        [{"a": None, "b": "1 month"}],
        '[{"a": null, "b": "1 month"}]',
    ),
    ("{'m': MAP {'k': ['\\x01'::BLOB]}}", {"m": {"k": ["01"]}}, '{"m": {"k": ["01"]}}'),
]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("plant"))


def printed(plant: str, sql: str, form: str, capsys: pytest.CaptureFixture[str]) -> str:
    query_output(plant, sql, form)
    return capsys.readouterr().out


def test_every_type_is_a_value_that_others_read(plant: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql = f"SELECT {', '.join(f'{sql} AS c{at}' for at, (sql, _, _) in enumerate(VALUES))}"
    found = json.loads(printed(plant, sql, "json", capsys), parse_constant=pytest.fail)
    lines = list(csv.reader(printed(plant, sql, "csv", capsys).splitlines()))
    assert lines[0] == list(found)
    for (expression, as_json, as_csv), value, cell in zip(VALUES, found.values(), lines[1], strict=True):
        assert (value, cell) == (as_json, as_csv), expression
        assert type(value) is type(as_json), expression
    cells = result_table(run_query(open_store(plant), sql)).rows[0]
    assert list(cells) == lines[1]


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_values_stand_below_their_headings(plant: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "SELECT a.x, b.x, a.y FROM (VALUES (1, 2)) a(x, y) JOIN (VALUES (1)) b(x) USING (x)"
    expected = {"table": "x x_1 y 1 1 2", "csv": "x,x_1,y 1,1,2", "json": '{"x": 1, "x_1": 1, "y": 2}'}
    assert printed(plant, sql, form, capsys).split() == expected[form].split()


def test_a_date_that_python_has_not_is_refused_in_words(plant: str) -> None:
    with pytest.raises(QueryError, match=r'"d".*CAST\("d" AS VARCHAR\)'.replace('"d".', "'d'.")):
        query_output(plant, "SELECT DATE 'infinity' AS d", "csv")


def test_a_long_answer_says_that_there_is_more(plant: str) -> None:
    table = result_table(run_query(open_store(plant), "FROM range(101)"))
    assert (len(table.rows), table.notes[0][:15]) == (100, "100 of 101 rows")


def test_a_plan_is_drawn(plant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\\n" not in (drawn := printed(plant, "EXPLAIN SELECT 1", "table", capsys))
    assert len(drawn.splitlines()) > 3


def test_a_pipe_gets_every_row_and_column(
    plant: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.commands.tables.query._ROWS_AT_ONCE", 100)
    numbers = ", ".join(f"range::FLOAT / 7 AS c{at}" for at in range(30))
    lines = printed(plant, f"SELECT range, {numbers} FROM range(201)", "table", capsys).splitlines()
    assert len(lines) == 202
    assert lines[0].split() == ["range", *(f"c{at}" for at in range(30))]
    assert lines[-1].split() == ["200", *["28.571428"] * 30]


def test_rows_that_are_missing_are_told_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = seal_key("cloth", date(2026, 3, 2), "v1")
    open_store(tmp_path).write(key, b"{}")
    with pytest.raises(typer.Exit) as ended:
        query_output(str(tmp_path), "SELECT count(*) AS n FROM latest", "json")
    said = capsys.readouterr()
    assert (ended.value.exit_code, said.out) == (1, '{"n": 0}\n')
    assert f"without {key}, which cannot be read" in said.err
