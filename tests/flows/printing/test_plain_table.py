"""Tables at any width: whatever is copied from one is whole."""

import io
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from flows.commands.tables.plant import inspection_table, models_table
from flows.inspection import InspectionRun
from flows.night.night_reports import NightReport
from flows.night.partition_scoring import CategoryOutcome
from flows.printing.folding import fold
from flows.printing.plain_table import PlainTable, plain_table, print_rows, print_table, table_lines
from proofs.model_cards import publish_made_up
from storage.filesystem import open_store
from tests.drift_plants import put_calibrated_model, put_recalibrated
from tests.examples import examples

WIDTHS = st.sampled_from([1, 20, 40, 60, 80, 120, 200])
KEY = st.builds(
    "images/{}/2026-03-02/{}.png".format,
    st.sampled_from(["nut", "woven_cloth_of_the_second_hall"]),
    st.text(st.sampled_from("abc 1._[]b木"), min_size=1, max_size=40).map(lambda name: f"x{name}y"),
)
NUMBER = st.floats(-1e9, 1e9).map(str) | st.integers(0, 10**12).map(lambda n: f"{n:,}")
COMMAND = st.builds(
    "rd-inspect {} --category {} --run-date 2026-03-02 --store {}".format,
    st.sampled_from(["backfill --mend", "inspect", 'query "SELECT 1 FROM latest" --format csv']),
    st.sampled_from(["nut", "'two words'"]),
    st.sampled_from(["./plant", "'/data/hall 2/plant'", "s3://bucket/with/a/rather/long/prefix"]),
)
WORDS = st.lists(st.sampled_from(["the", "seal", "names", "parts;", "nobody's"]), min_size=1, max_size=12).map(
    " ".join
)
PROSE = st.lists(st.one_of(WORDS, KEY, COMMAND, NUMBER), min_size=1, max_size=4)


def printed(table: PlainTable, width: int | None) -> list[str]:
    return [line.text for line in table_lines(table, width)]


@examples(40)
@given(st.data(), WIDTHS, st.sampled_from(["blocks", "panels"]))
def test_no_table_loses_a_key_a_number_or_a_command(data: Any, width: int, narrow: Any) -> None:
    rows = data.draw(st.lists(st.tuples(KEY, NUMBER, NUMBER, PROSE), min_size=1, max_size=4))
    note = data.draw(PROSE)
    table = plain_table("image key", "score", "last threshold", "cure", prose=("cure",), narrow=narrow)
    for key, score, threshold, cure in rows:
        table.add_row(key, score, threshold, ", ".join(cure))
    table.notes = [". ".join(note)]
    lines = printed(table, width)
    together = "\n".join(lines)
    pieces = [piece for row in rows for piece in (*row[:3], *row[3])] + note
    for piece in pieces:
        assert piece in together or set(piece.split()) <= {"the", "seal", "names", "parts;", "nobody's"}
    longest = max(cell_len(piece) for piece in [*pieces, "threshold"]) + len(", (.")
    assert all(cell_len(line) <= max(width, longest) for line in lines)
    assert len(printed(table, None)) == 1 + len(rows) + 1


@examples(40)
@given(PROSE, WIDTHS)
def test_folding_loses_no_word(pieces: list[str], width: int) -> None:
    assert " ".join(fold(" ".join(pieces), width)).split() == " ".join(pieces).split()


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (
            "Train one first: rd-inspect train --category nut --store './my plant'.",
            "rd-inspect train --category nut --store './my plant'.",
        ),
        ("wrong is images/nut/2026-03-02/photo 3 of 4.png: empty", "images/nut/2026-03-02/photo 3 of 4.png:"),
        ("no image: images/nut/2026-03-02/: see part 2.png", "images/nut/2026-03-02/:"),
        ("Undo it (rd-inspect import FOLDER --category nut).", "(rd-inspect import FOLDER --category nut)."),
        ("the folder '/data/hall 2' is closed", "'/data/hall 2'"),
        ("do python -m flows.deployment.automations then", "python -m flows.deployment.automations"),
    ],
)
def test_what_is_copied_stays_on_one_line(text: str, whole: str) -> None:
    assert whole in fold(text, 12)
    assert fold(text, None) == [text]


def test_words_go_on_below_where_they_do_not_fit() -> None:
    assert fold("one two three", 9, first=5) == ["one", "two three"]
    assert fold("don't break what isn't long", 12) == ["don't break", "what isn't", "long"]


def models() -> PlainTable:
    table = plain_table("category", "version", "in force", "normals")
    table.add_row("nut", "20260302T000000Z-0123abcd", "yes", "64")
    table.add_row("cloth", "20260301T000000Z-4567abcd", "", "1,064")
    return table


def test_columns_stand_beside_each_other_where_they_fit() -> None:
    assert printed(models(), 54) == [
        "category  version                    in force  normals",
        "nut       20260302T000000Z-0123abcd  yes            64",
        "cloth     20260301T000000Z-4567abcd              1,064",
    ]
    assert printed(models(), 52) == [
        "                                     in",
        "category  version                    force  normals",
        "nut       20260302T000000Z-0123abcd  yes         64",
        "cloth     20260301T000000Z-4567abcd           1,064",
    ]


def test_a_row_is_a_block_where_its_columns_do_not_fit() -> None:
    table = plain_table("where", "cure", prose=("cure",))
    table.add_row("images/nut/2026-03-02/one.png", "Restore it, or score the day anew: rd-inspect backfill --mend")
    table.add_row("seals/x", "")
    assert printed(table, 36) == [
        "where  images/nut/2026-03-02/one.png",
        "cure   Restore it, or score the day",
        "       anew:",
        "       rd-inspect backfill --mend",
        "",
        "where  seals/x",
        "cure",
    ]
    assert printed(table, 30)[:2] == ["where", "images/nut/2026-03-02/one.png"]


def test_a_few_long_cells_stand_below_their_rows() -> None:
    table = plain_table("column", "type")
    for at in range(8):
        table.add_row(f"c{at}", "FLOAT" if at != 1 else "STRUCT(top INTEGER, height INTEGER)[]")
    assert printed(table, 20)[:4] == [
        "column   type",
        "c0       FLOAT",
        "c1       (below)",
        "  type:  STRUCT(top INTEGER, height INTEGER)[]",
    ]
    table.rows[2:4] = table.rows[1:2] * 2
    assert printed(table, 20)[0] == "column  c0"  # more than a few: a block each


def test_a_cell_that_is_no_prose_is_never_folded() -> None:
    table = plain_table("category", "by")
    table.add_row("nut", "Eva of the second shift")
    assert printed(table, 13) == ["category  nut", "by", "Eva of the second shift"]


def test_a_grid_goes_on_below_with_its_days() -> None:
    grid = plain_table("day", "nut", "bolt", "cloth", narrow="panels")
    grid.add_row("2026-03-02", "done 24", "partly 7/9", "missing 100")
    assert printed(grid, 32) == [
        "day         nut      bolt",
        "2026-03-02  done 24  partly 7/9",
        "",
        "day         cloth",
        "2026-03-02  missing 100",
    ]


def many(columns: int, rows: int) -> PlainTable:
    names = ("image_key", *(f"c{at}" for at in range(columns - 2)), "score")
    table = PlainTable(names, narrow="fewer", preferred=("score", "c0"))
    for at in range(rows):
        table.add_row(f"images/nut/{at:02}.png", *["0123-56789"] * (columns - 2), "0.25")
    return table


def test_of_many_columns_those_that_matter_are_shown_and_the_others_named() -> None:
    assert printed(many(10, 30), 40)[:2] == [
        "image_key          c0          score",
        "images/nut/00.png  0123-56789  0.25",
    ]
    narrow = printed(many(10, 30), 16)  # no room beside what names a row
    assert narrow[:4] == ["image_key", "images/nut/00.png", "c0", "  0123-56789"]
    assert "2 of 10 columns do not fit and are not shown: c6, c7." in " ".join(narrow)
    told = " ".join(printed(many(10, 30), 40)[31:])
    assert "7 of 10 columns do not fit and are not shown: c1, c2, c3, c4, c5, c6, c7." in told
    assert "--format csv" in told
    assert "--out FILE.csv" in told


@pytest.mark.parametrize("table", [many(6, 30), many(10, 2)], ids=["asked for by name", "few rows"])
def test_what_is_read_in_one_go_is_shown_whole(table: PlainTable) -> None:
    lines = printed(table, 40)
    assert lines[0] == "image_key  images/nut/00.png"
    assert not any("not shown" in line for line in lines)


def test_nothing_of_a_cell_is_taken_for_markup_or_moves_the_cursor() -> None:
    table = plain_table("[bold]", "key")
    table.add_row("[/red]", "a\x1b[2J\tb\nc\u202e")
    table.notes = ["under [categories.nut]\nsecond \x1b[0m"]
    assert printed(table, None) == [
        "[bold]  key",
        "[/red]  a\\x1b[2J\\tb\\nc\\u202e",
        "under [categories.nut]",
        "second \\x1b[0m",
    ]


def test_rows_and_columns_go_together() -> None:
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        plain_table("a", "b").add_row("1")


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8", terminal: bool = True) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def shown(self) -> list[str]:
        return self.buffer.getvalue().decode(self.encoding).splitlines()  # type: ignore[attr-defined,no-any-return]


def test_a_terminal_has_a_width_and_a_pipe_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TERM", "xterm")
    for terminal, first in (
        (True, "category  nut"),
        (False, "category  version                    in force  normals"),
    ):
        monkeypatch.setattr(sys, "stdout", Terminal(terminal=terminal))
        print_table(models())
        assert sys.stdout.shown()[0] == first  # type: ignore[attr-defined]


def test_an_encoding_without_the_sign_gets_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal("ascii", terminal=False))
    table = plain_table("key")
    table.add_row("木.png")
    print_table(table)
    assert sys.stdout.shown() == ["key", "\\u6728.png"]  # type: ignore[attr-defined]


def test_long_answers_are_printed_part_by_part(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(("key", "n"), iter([[("a", "1")], [("longer", "2")], []]))
    assert capsys.readouterr().out == "key  n\na    1\nlonger  2\n"
    print_rows(("key", "n"), iter([]))
    assert capsys.readouterr().out == "key  n\n"


def test_what_operators_read_of_a_night_and_a_model(tmp_path: Path) -> None:
    states = ("sealed", "already sealed", "partly sealed", "failed")
    outcomes = tuple(CategoryOutcome(state, state) for state in states)
    index = NightReport("index", "written", "Stop the line: nut\nRetrain: bolt", "reports/index.html")
    night = inspection_table(InspectionRun("r", date(2026, 3, 2), "failed", outcomes, None, (index,)))
    assert night.notes == [
        "What needs attention today; reports/index.html has the details:\nStop the line: nut\nRetrain: bolt"
    ]
    assert [row[1] for row in night.rows] == ["complete", "complete already", "partly complete", "failed"]
    publish_made_up(open_store(tmp_path), "nut", threshold={"alpha": 0.0125})
    listed = models_table(str(tmp_path), None)
    assert dict(zip(listed.columns, listed.rows[0], strict=True))["promised false-alarm rate"] == "1.25%"


def test_versions_say_whose_weights_they_share(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    held = put_calibrated_model(store, "nut")
    put_recalibrated(store, "nut", "v2", of=held, day=date(2026, 3, 2))
    listed = models_table(str(tmp_path), None)
    of = [dict(zip(listed.columns, row, strict=True)) for row in listed.rows]
    assert [(row["version"], row["weights of"]) for row in of] == [("v2", held), (held, "")]
