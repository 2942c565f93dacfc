"""The rows of a Parquet file of labels, with columns of any type."""

from collections.abc import Iterator, Mapping

import pyarrow as pa

from storage.errors import CorruptObject, StorageError
from storage.labels.cells import columns_of
from storage.labels.reading import TableReading
from storage.stores import parquet

_FAULTS = (pa.ArrowException, ValueError, OverflowError, TypeError, LookupError, NotImplementedError)
"""pyarrow's errors for invalid text, times out of range and types it cannot convert"""


def parquet_rows(data: bytes, address: str, reading: TableReading) -> Iterator[tuple[str, dict[str, object]]]:
    """(place, cells by column) of each row; the first row is row 1.

    Cells are text, numbers or times cut to microseconds, or None. Raises StorageError with the column of another
    type.
    """
    table, _, places = _read(data, address, reading)
    columns = {name: _cells(table.column(index), name, address) for name, index in places.items()}
    for row in range(len(table)):
        yield f"{address}, row {row + 1}", {name: cells[row] for name, cells in columns.items()}


def parquet_headings(data: bytes, address: str, reading: TableReading) -> tuple[list[str], Mapping[str, int]]:
    """The names of all columns of `parquet_rows`, and the places of ours. Raises StorageError as there."""
    return _read(data, address, reading)[1:]


def _read(data: bytes, address: str, reading: TableReading) -> tuple[pa.Table, list[str], Mapping[str, int]]:
    reading.refuse_unless_text(address)
    try:
        table = parquet.from_bytes(data, address)
        headings = table.column_names
    except _FAULTS as e:
        raise CorruptObject(f"{address} is damaged: {_first_line(e)}. Write it again.") from e
    return table, headings, columns_of(headings, address, reading.headings)


def _cells(column: pa.ChunkedArray, name: str, address: str) -> list[object]:
    kind = column.type
    try:
        if pa.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if pa.types.is_nested(kind):
            raise StorageError(
                f"{address}: the column {name} is of type {kind}, so no label was read. Give it one value a row."
            )
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("us", kind.tz), safe=kind.unit != "ns")
        elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            column = column.cast(pa.string())
        cells: list[object] = column.to_pylist()
    except _FAULTS as e:
        raise StorageError(
            f"{address}: the column {name} of type {kind} cannot be read ({_first_line(e)}), so no label was read. "
            "Write it as text."
        ) from e
    return cells


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
