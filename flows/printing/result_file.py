"""Writes the rows of an answer to a new file: CSV, Parquet or JSON, by its ending."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from flows.errors import RunFailed
from flows.printing.row_text import write_csv, write_json
from flows.settings import SettingsError
from storage.errors import QueryError

ENDINGS = (".csv", ".parquet", ".json")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FileNotWritten(RunFailed):
    """A file could not be written completely, and does not exist."""


def refuse_unusable(path: Path) -> None:
    """Check before the query. SettingsError if the file could not be written, or exists."""
    known = ", ".join(ENDINGS)
    if "://" in str(path) or str(path).startswith("s3:/"):
        raise SettingsError(
            f"--out {path} is no file of this machine, so nothing was written. Name a file, and copy it there."
        )
    if path.suffix.lower() not in ENDINGS:
        has = f"the ending {path.suffix!r} is not known" if path.suffix else "the file's name has no ending"
        raise SettingsError(
            f"--out {path}: {has}, so the format is unknown and nothing was written. Use one of {known}."
        )
    if os.path.lexists(path):
        raise SettingsError(
            f"--out {path}: it is there already and was left as it is. Remove it, or name another file."
        )
    folder = path.parent
    if not folder.is_dir():
        why = "is no folder" if folder.exists() else "is not there"
        raise SettingsError(f"--out {path}: the folder {folder} {why}, so nothing was written. Name one that is.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            f"--out {path}: you may not write to the folder {folder}, so nothing was written. Name another, or "
            "change its permissions."
        )


def write_file(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write all rows and return their number. The file appears only when it is whole.

    QueryError for values that the format cannot hold; FileNotWritten for a full disk and the like.
    """
    write = {".csv": _text(write_csv), ".json": _text(write_json), ".parquet": _write_parquet}[path.suffix.lower()]
    counted = _Counted(batches)
    with _new_file(path) as file:
        write(file, schema, counted)
    return counted.rows


class _Counted:
    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = batches
        self.rows = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.rows += batch.num_rows
            yield batch


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A temporary file that becomes `path` on success, and is removed otherwise."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _put(beside, path)
    except FileExistsError as e:
        raise FileNotWritten(
            f"--out {path}: another program wrote this file meanwhile; it was left as it is. Name another file."
        ) from e
    except OSError as e:
        full = e.errno in _FULL
        cure = "Make room, or name a file elsewhere" if full else "Name a file elsewhere"
        raise FileNotWritten(
            f"--out {path} could not be written ({e.strerror or e}), and nothing of it was kept. {cure}."
        ) from e
    finally:
        beside.unlink(missing_ok=True)


def _put(beside: Path, path: Path) -> None:
    """Give the finished file its name. FileExistsError if there is another."""
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        beside.replace(path)


def _text(write: Callable[[TextIO, pa.Schema, Iterable[pa.RecordBatch]], None]) -> Callable[..., None]:
    def write_text(file: BinaryIO, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        write(text, schema, batches)
        text.flush()
        text.detach()

    return write_text


def _write_parquet(file: BinaryIO, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    try:
        writer = pq.ParquetWriter(file, schema, compression="zstd")
    except pa.ArrowNotImplementedError as e:
        odd = [field.name for field in schema if pa.types.is_union(field.type)]
        which = f"column {odd[0]!r}" if odd else "a column"
        raise QueryError(
            f"Parquet has no type for {which} ({e}). Ask for CAST(... AS VARCHAR), or write a .json."
        ) from e
    with writer:
        for batch in batches:
            writer.write_batch(batch)
