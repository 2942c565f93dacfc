"""A table as the commands print it: columns side by side where they fit, else in blocks.

No cell is cut or broken, except prose between words.
"""

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from rich.cells import cell_len

from flows.printing.folding import fold
from flows.printing.output import quiet_pipe
from reports.plain_text import without_controls

_GAP = "  "
_INDENT = "  "
_FEW_COLUMNS = 8
"""with so few columns, none is left out"""
_FEW_LINES = 60
"""blocks of at most this many lines are readable"""
_LONG_ROWS = 0.25
"""share of rows that may have a cell below them"""
_BELOW = "(below)"
_COUNT = frozenset("0123456789,")
Narrow = Literal["blocks", "panels", "fewer"]


class Line(NamedTuple):
    """One printed line."""

    text: str
    is_heading: bool = False


@dataclass
class PlainTable:
    """Cells of text with a title above and notes below."""

    columns: tuple[str, ...]
    prose: tuple[str, ...] = ()
    """columns of prose, which may be folded"""
    narrow: Narrow = "blocks"
    """when the columns do not fit beside each other. blocks: a row is a few lines, a column a line. panels: some
    columns, then the next ones, each time with the first. fewer: some are left out, and named below"""
    preferred: tuple[str, ...] = ()
    """of "fewer": these are shown first"""
    title: str = ""
    notes: list[str] = field(default_factory=list)
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add_row(self, *cells: str) -> None:
        """Add a row with one cell a column. ValueError for another number."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self.rows.append(tuple(_one_line(cell) for cell in cells))


def plain_table(*columns: str, prose: Sequence[str] = (), narrow: Narrow = "blocks") -> PlainTable:
    """A table with these columns and no rows yet."""
    return PlainTable(columns, tuple(prose), narrow)


def print_table(table: PlainTable) -> None:
    """Print to standard output, as wide as the terminal; in a pipe or file one line a row, however long."""
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    with quiet_pipe():
        _write((_bold(line) if is_terminal else line.text) for line in table_lines(table, width))


def print_rows(columns: Sequence[str], parts: Iterable[Sequence[tuple[str, ...]]]) -> None:
    """Print rows as they come, one line each, without holding all. A column is as wide as its cells so far."""
    widths, heading = [cell_len(name) for name in columns], tuple(columns)
    for part in parts:
        rows = [tuple(_one_line(cell) for cell in row) for row in part]
        for row in rows:
            widths = [max(width, cell_len(cell)) for width, cell in zip(widths, row, strict=True)]
        _write(_beside(row, widths, ()) for row in ([heading, *rows] if heading else rows))
        heading = ()
    if heading:
        _write([_beside(heading, widths, ())])


def table_lines(table: PlainTable, width: int | None) -> Iterator[Line]:
    """The lines of a table on a terminal with that many columns; None for lines of any length."""
    yield from (Line(line) for line in _folded(table.title, width))
    if table.rows:
        yield from _shaped(table, width)
    for note in table.notes:
        yield from (Line(line) for line in _folded(note, width))


def _folded(text: str, width: int | None) -> list[str]:
    lines = (without_controls(line) for line in text.split("\n"))
    return [folded for line in lines for folded in fold(line, width)] if text else []


def _shaped(table: PlainTable, width: int | None) -> Iterator[Line]:
    widths = _widths(table)
    everything = range(len(table.columns))
    if width is None or _total(widths) <= width:
        return _side_by_side(table, everything, widths)
    low = [
        max(_longest_word(name), *(cell_len(row[at]) for row in table.rows)) for at, name in enumerate(table.columns)
    ]
    if table.narrow != "fewer" and _total(low) <= width:
        return _side_by_side(table, everything, low)
    if not table.prose and (without_long := _without_long(table, width)) is not None:
        return _side_by_side(table, everything, without_long)
    if table.narrow == "panels" and len(low) > 2 and low[0] + len(_GAP) + max(low[1:]) <= width:
        return _panels(table, low, width)
    if table.narrow == "fewer" and len(low) > _FEW_COLUMNS and len(table.rows) * (len(low) + 1) > _FEW_LINES:
        return _fewer(table, widths, width)
    return _blocks(table, width)


def _widths(table: PlainTable) -> list[int]:
    return [max(cell_len(name), *(cell_len(row[at]) for row in table.rows)) for at, name in enumerate(table.columns)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _longest_word(name: str) -> int:
    return max((cell_len(word) for word in name.split()), default=0)


def _side_by_side(table: PlainTable, chosen: Sequence[int], widths: Sequence[int]) -> Iterator[Line]:
    """The chosen columns; a heading longer than its column continues below."""
    rows = [[row[at] for at in chosen] for row in table.rows]
    counts = [at for at, cells in enumerate(zip(*rows, strict=True)) if all(set(cell) <= _COUNT for cell in cells)]
    columns = [widths[at] for at in chosen]
    headings = [fold(table.columns[at], widths[at]) for at in chosen]
    height = max(map(len, headings))
    for heading in zip(*([""] * (height - len(lines)) + lines for lines in headings), strict=True):
        yield Line(_beside(heading, columns, counts), is_heading=True)
    for row in rows:
        long = [at for at, (cell, space) in enumerate(zip(row, columns, strict=True)) if cell_len(cell) > space]
        yield Line(_beside([_BELOW if at in long else cell for at, cell in enumerate(row)], columns, counts))
        yield from (Line(f"{_INDENT}{table.columns[chosen[at]]}:{_GAP}{row[at]}") for at in long)


def _without_long(table: PlainTable, width: int) -> list[int] | None:
    """Widths that fit all cells but those of a few rows, whose long cells go below; None if there are more such
    rows."""
    lengths = [[cell_len(cell) for cell in row] for row in table.rows]
    for most in sorted({max(length, len(_BELOW)) for row in lengths for length in row}, reverse=True):
        if sum(max(row) > most for row in lengths) > len(lengths) * _LONG_ROWS:
            return None
        widths = [
            max(cell_len(name), len(_BELOW), *(length for length in column if length <= most), 0)
            for name, column in zip(table.columns, zip(*lengths, strict=True), strict=True)
        ]
        if _total(widths) <= width:
            return widths
    return None


def _beside(cells: Sequence[str], widths: Sequence[int], counts: Sequence[int]) -> str:
    """Cells in their columns, numbers right-aligned."""
    padded = []
    for at, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        space = " " * (width - cell_len(cell))
        padded.append(space + cell if at in counts else cell + space)
    return _GAP.join(padded).rstrip()


def _panels(table: PlainTable, widths: Sequence[int], width: int) -> Iterator[Line]:
    chosen = [0]
    for at in range(1, len(widths)):
        if _total([widths[column] for column in (*chosen, at)]) > width:
            yield from _side_by_side(table, chosen, widths)
            yield Line("")
            chosen = [0]
        chosen.append(at)
    yield from _side_by_side(table, chosen, widths)


def _fewer(table: PlainTable, widths: Sequence[int], width: int) -> Iterator[Line]:
    """The preferred columns that fit, then others that fit; blocks of a few where only one fits."""
    first = [0, *(table.columns.index(name) for name in table.preferred if name in table.columns)]
    chosen = list[int]()
    for at in dict.fromkeys([*first, *range(len(widths))]):
        if _total([widths[column] for column in (*chosen, at)]) <= width:
            chosen.append(at)
    if 0 in chosen and len(chosen) > 1:
        yield from _side_by_side(table, sorted(chosen), widths)
    else:  # no room beside the row's name
        chosen = list(dict.fromkeys([*first, *range(len(widths))]))[:_FEW_COLUMNS]
        names = tuple(table.columns[at] for at in sorted(chosen))
        rows = [tuple(row[at] for at in sorted(chosen)) for row in table.rows]
        yield from _blocks(PlainTable(names, rows=rows), width)
        yield Line("")
    hidden = [name for at, name in enumerate(table.columns) if at not in chosen]
    what = f"{len(hidden)} of {len(widths)} columns do not fit and are not shown: {', '.join(hidden)}."
    how = "To see them, name them in the SELECT, or give --format csv, or --out FILE.csv."
    yield from (Line(line) for line in _folded(f"{what} {how}", width))


def _blocks(table: PlainTable, width: int) -> Iterator[Line]:
    """One block of lines a row: a column's name and its cell, below it where it does not fit beside."""
    beside = max(map(cell_len, table.columns)) + len(_GAP)
    for number, row in enumerate(table.rows):
        if number:
            yield Line("")
        for name, cell in zip(table.columns, row, strict=True):
            head = name + " " * (beside - cell_len(name))
            lines = fold(cell, width - beside) if name in table.prose else [cell]
            if not cell:
                yield Line(name)
            elif max(map(cell_len, lines)) <= width - beside:
                yield from (Line((head if at == 0 else " " * beside) + line) for at, line in enumerate(lines))
            else:
                yield Line(name)
                lines = fold(cell, width - len(_INDENT)) if name in table.prose else [cell]
                yield from (Line(line if cell_len(line) + len(_INDENT) > width else _INDENT + line) for line in lines)
    if table.notes:
        yield Line("")


def _one_line(text: str) -> str:
    return without_controls(text.replace("\n", "\\n"))


def _bold(line: Line) -> str:
    return f"\x1b[1m{line.text}\x1b[0m" if line.is_heading else line.text


def _write(lines: Iterable[str]) -> None:
    encoding = sys.stdout.encoding or "utf-8"  # characters that the encoding lacks are escaped
    for line in lines:
        sys.stdout.write(f"{line}\n".encode(encoding, "backslashreplace").decode(encoding))
