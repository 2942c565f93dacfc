"""A DuckDB connection that only answers questions."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from storage.errors import QueryError

_EXPLAIN = re.compile(r"EXPLAIN\s+(ANALYZE\s+)?(\(\s*(ANALYZE|FORMAT|VERBOSE)\b[^()]*\)\s*)?", re.IGNORECASE)
# What Arrow, or Python after it, holds without loss. Anything else travels as DuckDB's text for it: of an interval
# Python would lose the months, of a time its zone, of a moment the nanoseconds, of a large number the sign.
_KEPT = {
    *("boolean", "tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"),
    *("hugeint", "float", "double", "decimal", "varchar", "uuid", "blob", "enum", "null"),
    *("date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp with time zone"),
}
DUCKDB_TYPE = b"duckdb_type"
"""of a field's metadata: DuckDB's type of a column that is passed as text"""


_spilling: set[str] = set()
"""spill folders of this process's open connections"""


def remove_spilled() -> None:
    """Remove the spill folders of open connections, for a process that ends without closing them; their next answer
    may fail."""
    for folder in list(_spilling):
        shutil.rmtree(folder, ignore_errors=True)


class Questions:
    """Answers typed SQL, from a DuckDB whose tables and views `prepare` makes.

    Only a single SELECT, or an EXPLAIN of one, reaches DuckDB: checked by DuckDB's own parser and by wrapping it in
    the brackets of a SELECT, where no other statement can stand (a SELECT may begin with `WITH x AS (COPY ... TO
    ...)`). A PIVOT parses as several statements, so it must not contain the word COPY. External access is off and the
    configuration locked: a SELECT opens only the files that `prepare` allowed. Queries larger than memory spill into
    a folder that closing removes.
    """

    def __init__(self, prepare: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
        self._spill = tempfile.TemporaryDirectory(prefix="rd-inspect-query-", ignore_cleanup_errors=True)
        _spilling.add(self._spill.name)
        self._connection = duckdb.connect(
            config={
                "temp_directory": self._spill.name,
                "python_enable_replacements": "false",
                "autoload_known_extensions": "false",
                "autoinstall_known_extensions": "false",
            }
        )
        try:
            prepare(self._connection)
            self._connection.execute("SET enable_external_access = false")
            self._connection.execute("SET lock_configuration = true")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Questions":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and remove its spill folder."""
        self._connection.interrupt()  # else it waits for an answer that nobody wants any more, after Ctrl-C
        self._connection.close()
        self._spill.cleanup()
        _spilling.discard(self._spill.name)

    def register(self, name: str, table: pa.Table) -> None:
        """Make `table` available under this name."""
        self._connection.register(name, table)

    def keep(self, name: str, sql: str) -> None:
        """Store the result of `sql` in memory as a table of this name."""
        self._connection.execute(f"CREATE TABLE {name} AS {self._question(sql)}")

    def forget(self, name: str) -> None:
        """Drop a table that `keep` made."""
        self._connection.execute(f"DROP TABLE {name}")

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The result of `sql`, with `values` for $1 and so on. Raises duckdb.Error."""
        return self._connection.execute(self._question(sql), list(values)).fetchall()

    def table(self, sql: str) -> pa.Table:
        """The result of `sql`. Repeated column names are numbered: a second `x` is `x_1`. Types that neither Arrow
        nor Python holds without loss (intervals, times, nanoseconds, bits, ...) become text. Raises duckdb.Error, and
        QueryError for a statement without a question."""
        result, kinds = self._result(sql)
        table = result.to_arrow_table()
        return pa.Table.from_arrays(table.columns, schema=_original_types(table.schema, kinds))

    def batches(self, sql: str, rows: int) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The result of `table` in batches of at most so many rows, computed on demand, so errors may come with any
        batch."""
        result, kinds = self._result(sql)
        reader = result.to_arrow_reader(rows)
        schema = _original_types(reader.schema, kinds)
        return schema, (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in reader)

    def _result(self, sql: str) -> tuple[duckdb.DuckDBPyRelation, Sequence[Any]]:
        """(result of `sql` as passed to Arrow, its types in DuckDB)."""
        relation = self._connection.sql(self._question(sql))
        if relation is None:
            raise QueryError(f"{sql!r} asks nothing, so there is no table to show. Write a SELECT.")
        names = distinct_names(relation.columns)
        columns = [f"{_carried(f'#{at}', kind)} AS {_name(name)}" for at, (name, kind) in _numbered(names, relation)]
        return relation.project(", ".join(columns)), relation.types

    def _question(self, sql: str) -> str:
        """`sql` in an executable form. Raises duckdb.Error if it is no question."""
        statements = self._statements(sql)
        if not statements:
            raise QueryError(f"{sql!r} asks nothing, so there is no table to show. Write a SELECT.")
        if len(statements) > 1:
            raise duckdb.Error(f"it has {len(statements)} statements, and one is run at a time")
        kind, text = statements[0]
        explain = _EXPLAIN.match(text)
        if explain is not None:
            return explain[0] + self._question(text[explain.end() :])
        if kind == duckdb.StatementType.MULTI and _has_keyword(text, b"copy"):
            raise duckdb.Error('it has the word COPY, which may write; write a column of that name as "copy"')
        if kind in (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI):
            return self._bracketed(kind, text)
        raise duckdb.Error(f"it is not a query ({kind.name}), and nothing else is run")

    def _bracketed(self, kind: duckdb.StatementType, text: str) -> str:
        """A statement of this kind in the brackets of a SELECT, without a final semicolon and comments. Raises
        duckdb.Error if it cannot stand there."""
        ends = [len(text), *(at for at in range(len(text) - 1, -1, -1) if text[at] == ";")]
        refused: duckdb.Error | None = None
        for end in ends:  # those within the last comment first: with what is before them nothing is cut off yet
            wrapped = f"SELECT * FROM ({text[:end]}\n)"
            try:
                if [statement for statement, _ in self._statements(wrapped)] == [kind]:
                    return wrapped
            except duckdb.Error as e:
                refused = refused or e
        raise refused or duckdb.Error(f"it is not a query ({kind.name}), and nothing else is run")

    def _statements(self, sql: str) -> list[tuple[duckdb.StatementType, str]]:
        """(kind, text) of each statement."""
        try:
            return [(statement.type, str(statement.query)) for statement in self._connection.extract_statements(sql)]
        except ValueError as e:  # kinds that the Python package has no name for
            raise duckdb.Error("it is not a query, and nothing else is run") from e


def _original_types(schema: pa.Schema, kinds: Sequence[Any]) -> pa.Schema:
    """`schema`, with columns passed as text marked by DUCKDB_TYPE."""
    fields = [
        field.with_metadata({DUCKDB_TYPE: str(kind)}) if _as_text(kind) else field
        for field, kind in zip(schema, kinds, strict=True)
    ]
    return pa.schema(fields)


def _has_keyword(sql: str, word: bytes) -> bool:
    """Whether `word` occurs in `sql` outside quotes and comments."""
    data = sql.encode()
    starts = (at for at, kind in duckdb.tokenize(sql) if kind == duckdb.token_type.keyword)
    return any(data[at : at + len(word)].lower() == word for at in starts)


def distinct_names(names: Sequence[str]) -> list[str]:
    """Unique names: a second `x` is `x_1`, or the next free one."""
    taken, distinct = set(names), list[str]()
    for name in names:
        new, number = name, 0
        while new in distinct or (number and new in taken):
            number += 1
            new = f"{name}_{number}"
        distinct.append(new)
    return distinct


def _numbered(names: Sequence[str], result: duckdb.DuckDBPyRelation) -> Any:
    return enumerate(zip(names, result.types, strict=True), start=1)


def _carried(column: str, kind: Any) -> str:
    """The SQL expression that passes a column of this type."""
    if kind.id in ("timestamp_ns", "timestamptz_ns"):
        zone = " || 'Z'" if kind.id == "timestamptz_ns" else ""
        return f"strftime(CAST({column} AS TIMESTAMP_NS), '%Y-%m-%dT%H:%M:%S.%n'){zone}"
    target = _travels_as(kind)
    return column if target == str(kind) else f"CAST({column} AS {target})"


def _as_text(kind: Any) -> bool:
    return kind.id not in _KEPT and _travels_as(kind) == "VARCHAR"


def _travels_as(kind: Any) -> str:
    """The type to cast values of `kind` to: the same, or text for what would be lost."""
    if kind.id in _KEPT:
        return str(kind)
    if kind.id in ("list", "array"):
        child, size = kind.children[0][1], f"{kind.children[1][1]}" if kind.id == "array" else ""
        return f"{_travels_as(child)}[{size}]"
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{_name(name)} {_travels_as(child)}' for name, child in kind.children)})"
    if kind.id == "map":
        return f"MAP({', '.join(_travels_as(child) for _, child in kind.children)})"
    if kind.id in ("union", "tuple") and all(_travels_as(child) == str(child) for _, child in kind.children):
        return str(kind)
    return "VARCHAR"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
