"""The rows of a text table of labels, as spreadsheets and scripts write it.

A guess that could lose a row or move a cell is refused with the line's number.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence

from storage.errors import StorageError
from storage.labels.cells import REQUIRED, WORDS, column_name, columns_of
from storage.labels.reading import DELIMITERS, TableReading, delimiter_name

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHERS = (
    (b"PAR1", "a Parquet file: call it .parquet"),
    (b"PK\x03\x04", "an Excel workbook or a ZIP archive: save the table as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook: save the table as CSV UTF-8"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"[", "JSON: bring Label Studio's export in under a name that ends in .json"),
    (b"{", "JSON: bring Label Studio's export in under a name that ends in .json"),
)
"""first bytes of files that are no text table"""
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
"""1.25 with a decimal comma; where commas separate cells they may separate thousands too"""
_QUOTES = 'Close the quote, or remove it; a quote that is meant is written twice within quotes: "5"" mm".'


def csv_rows(data: bytes, address: str, reading: TableReading) -> Iterator[tuple[str, dict[str, str]]]:
    """(place, cells by column) of each row; the place is the editor's line number, the header is line 1.

    Unless `reading` names them, the delimiter is the one of comma, semicolon, tab and bar under which the header
    names the columns, and the encoding is UTF-8 or that of the byte order mark. Empty rows are skipped. Raises
    StorageError with the line.
    """
    header, columns, rows, delimiter = _headed(data, address, reading)
    for line, cells in rows:
        where = f"{address}, line {line}"
        _refuse_shape(cells, header, delimiter, where)
        _refuse_broken_cells(cells, columns, delimiter, where)
        row = {name: cells[index].strip() for name, index in columns.items()}
        if delimiter != "," and _DECIMAL_COMMA.fullmatch(row.get("score", "")):
            row["score"] = row["score"].replace(",", ".")
        yield where, row


def csv_headings(data: bytes, address: str, reading: TableReading) -> tuple[list[str], Mapping[str, int]]:
    """The headings of `csv_rows` and the places of our columns. Raises StorageError as there."""
    return _headed(data, address, reading)[:2]


def _headed(
    data: bytes, address: str, reading: TableReading
) -> tuple[list[str], Mapping[str, int], Iterator[tuple[int, list[str]]], str]:
    """(header, places of our columns, rows below it, delimiter)."""
    text = _text(data, address, reading.encoding)
    if not text.strip():
        raise StorageError(f"{address} is empty, so no label was read. Save the table again.")
    hinted, delimiter = _delimiter(text, address, reading)
    rows = _rows(text, delimiter, address)
    if hinted:
        next(rows)
    _, header = next(rows, (0, []))
    return header, columns_of(header, address, reading.headings, delimiter_name(delimiter)), rows, delimiter


def _rows(text: str, delimiter: str, address: str) -> Iterator[tuple[int, list[str]]]:
    """(first line, cells) of each row that is not empty."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=not delimiter.isspace(), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            cause = (
                f"a cell has more than {csv.field_size_limit():,} characters" if "field limit" in str(e) else
                "a quote opens a cell and is not closed, or text follows where it closes"
            )  # fmt: skip
            raise StorageError(
                f"{address}, line {line}: {cause} (seen by line {reader.line_num}), so rows below could be lost and "
                f"no label was read. {_QUOTES}"
            ) from e
        if any(cell.strip() for cell in cells):
            yield line, cells


def _text(data: bytes, address: str, encoding_given: str | None) -> str:
    for start, what in _OTHERS:
        if data.lstrip()[: len(start)] == start:
            raise StorageError(f"{address} is {what}. No label was read.")
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding_given and marked and _family(encoding_given) != _family(marked):
        raise StorageError(
            f"{address} begins with the mark of {_family(marked)}, and --encoding says {encoding_given}, so no label "
            "was read. Leave --encoding out."
        )
    encoding = marked or encoding_given or "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        byte = f"the byte 0x{data[e.start]:02x}" if e.start < len(data) else "an end within a character"
        other = "--encoding cp1252" if encoding == "utf-8" else "another --encoding"
        raise StorageError(
            f"{address}, line {line}: {byte} is not {_family(encoding)} text, so names could be misread and no label "
            f"was read. Save it as UTF-8 (in Excel: CSV UTF-8), or bring it in with {other}."
        ) from e
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        order = "be" if text.index("\0") % 2 == 0 else "le"
        raise StorageError(
            f"{address}, line {line}: there is a character of value 0: it is UTF-16 without its mark, or damaged, "
            "so no label was read. Save it as UTF-8 (in Excel: CSV UTF-8), or bring it in with --encoding "
            f"utf-16-{order}."
        )
    return text


def _family(encoding: str) -> str:
    """Unifies encodings that differ only in byte order and marks, for messages."""
    name = codecs.lookup(encoding).name.replace("_", "-")
    return re.sub(r"-(sig|le|be)$", "", name).upper()


def _delimiter(text: str, address: str, reading: TableReading) -> tuple[bool, str]:
    """(whether the first line names the delimiter and is no header, the delimiter). If no delimiter makes the header
    name our columns, the one that splits it most, for the error message."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    hint = re.fullmatch(r'"?sep=(.)"?', first.lstrip().rstrip("\r\n ").lower())
    if hint:
        if reading.delimiter not in (None, hint[1]):
            raise StorageError(
                f"{address} says in its first line that its delimiter is {delimiter_name(hint[1])}, and --delimiter "
                f"says {delimiter_name(reading.delimiter or '')}, so no label was read. Leave --delimiter out."
            )
        return True, hint[1]
    if reading.delimiter:
        return False, reading.delimiter
    headings = {
        delimiter: {column_name(heading) for heading in _parted(first, delimiter)} for delimiter in DELIMITERS
    }
    needed = {column_name(reading.headings.get(name, name)) for name in REQUIRED}
    fitting = [delimiter for delimiter in DELIMITERS if needed <= headings[delimiter]]
    return False, (fitting or sorted(DELIMITERS, key=lambda delimiter: -len(headings[delimiter])))[0]


def _parted(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=not delimiter.isspace()), [])
    except csv.Error:
        return line.split(delimiter)


def _refuse_shape(cells: Sequence[str], header: Sequence[str], delimiter: str, where: str) -> None:
    if len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
        raise StorageError(
            f"{where}: the row has {len(cells)} cells and the header {len(header)}, with the delimiter "
            f"{delimiter_name(delimiter)}, so words could stand under the wrong heading and no label was read. Give "
            "every row a cell for each heading, and put a text with the delimiter in quotes."
        )


def _refuse_broken_cells(cells: Sequence[str], columns: Mapping[str, int], delimiter: str, where: str) -> None:
    """Refuses an open quote that a later row closes, which would make one cell of all rows between: a label's word
    then stands inside a cell. A remark may have several lines."""
    ours = {index: name for name, index in columns.items()}
    for index, cell in enumerate(cells):
        lines = cell.splitlines()
        if len(lines) < 2:
            continue
        pieces = {piece.strip(' "').casefold() for line in lines for piece in line.split(delimiter)}
        if index in ours or pieces & set(WORDS):
            named = repr(ours[index]) if index in ours else f"number {index + 1}"
            raise StorageError(
                f"{where}: a quote opens here and closes {len(lines) - 1} lines below, so that the cell {named} "
                f"holds {len(lines)} lines and rows would be lost; no label was read. {_QUOTES}"
            )
