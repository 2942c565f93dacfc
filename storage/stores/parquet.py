"""Tables as Parquet bytes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import CorruptObject
from storage.stores.store import Store


def to_bytes(table: pa.Table, *, row_group_size: int | None = None, unique: bool = False) -> bytes:
    """`table` as a deterministic Parquet file.

    `unique`: values hardly repeat, so dictionaries and statistics are left out.
    """
    buffer = pa.BufferOutputStream()
    pq.write_table(
        table,
        buffer,
        row_group_size=row_group_size,
        compression="zstd",
        use_dictionary=not unique,
        write_statistics=not unique,
        write_page_checksum=True,
    )
    return buffer.getvalue().to_pybytes()


def from_bytes(data: bytes, address: str) -> pa.Table:
    """The table in a Parquet file's bytes. Raises CorruptObject."""
    with readable(address):
        return pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read()


@contextmanager
def opened(store: Store, key: str) -> Iterator[pq.ParquetFile]:
    """The Parquet file under `key`, for partial reading; only its footer is read."""
    with store.open(key) as file, readable(store.address(key)):
        yield pq.ParquetFile(file, pre_buffer=False, page_checksum_verification=True)


@contextmanager
def readable(address: str) -> Iterator[None]:
    """Turns pyarrow's errors for damaged bytes into CorruptObject."""
    try:
        yield
    # Of ValueErrors, text that is not UTF-8; of KeyErrors, a column that is not there.
    except (pa.ArrowException, OSError, ValueError, KeyError) as e:
        if isinstance(e, OSError) and e.errno is not None:
            raise  # the file system's; pyarrow tells of a damaged page by a bare OSError
        raise CorruptObject(
            f"{address} is not the Parquet file it should be: {str(e).splitlines()[0]}. "
            "Remove it and run again what wrote it."
        ) from e
