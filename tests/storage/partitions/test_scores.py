"""Score rows: exact round trips, the same bytes for the same rows, and every reader analysts use."""

import hashlib
import math
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import layout
from storage.errors import CorruptObject
from storage.filesystem import LocalStore, open_store
from storage.partitions.scores import (
    SCHEMA,
    ScoreRow,
    read_columns,
    read_part,
    read_scores,
    to_rows,
    to_table,
    validate,
    write_part,
)
from storage.stores import parquet
from tests.object_stores import Bucket

COLUMNS = [
    *("image_key", "etag", "content_digest", "category", "run_date", "captured_at", "model_version"),
    *("preprocessing", "score", "threshold", "p_value", "is_anomalous", "status", "error", "map_store"),
    *("map_index", "anomalous_area", "image_height", "image_width", "scored_at", "run_id"),
    *("brightness", "contrast", "sharpness", "feature_distance", "decision", "defect_area", "defect_boxes"),
    *("edge_centre_x", "edge_centre_y"),
    *("offset_x", "offset_y", "rotation"),
]
OFFSETS = ("offset_x", "offset_y", "rotation")
STATISTICS = ("brightness", "contrast", "sharpness", "edge_centre_x", "edge_centre_y", "feature_distance")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
REAL = st.floats(width=32, allow_nan=False, allow_infinity=False)
SHARES = st.floats(0, 1, width=32)
SIDES = ("top", "left", "height", "width")
BOXES = st.fixed_dictionaries({**dict.fromkeys(SIDES, st.integers(0, 2**31 - 1)), "peak": REAL})


@st.composite
def rows(draw: st.DrawFn) -> ScoreRow:
    ok = draw(st.booleans())
    size = st.integers(1, 2**31 - 1)
    return ScoreRow(
        image_key=draw(TEXT),
        etag=draw(TEXT),
        content_digest=draw(TEXT) if ok else None,
        category=draw(TEXT),
        run_date=draw(st.dates(date(1970, 1, 1), date(2200, 1, 1))),
        captured_at=draw(TIMES),
        model_version=draw(TEXT),
        preprocessing=draw(TEXT),
        score=draw(REAL) if ok else None,
        threshold=draw(REAL) if ok else None,
        p_value=draw(st.floats(0, 1)) if ok else None,
        is_anomalous=draw(st.booleans()) if ok else None,
        status="ok" if ok else draw(st.sampled_from(["unreadable", "rejected"])),
        error=None if ok else draw(TEXT),
        map_store=draw(st.none() | TEXT),
        map_index=draw(st.none() | st.integers(0, 2**31 - 1)),
        anomalous_area=draw(st.none() | SHARES),
        image_height=draw(size) if ok else None,
        image_width=draw(size) if ok else None,
        scored_at=draw(TIMES),
        run_id=draw(TEXT),
        brightness=draw(st.none() | SHARES),
        contrast=draw(st.none() | SHARES),
        sharpness=draw(st.none() | REAL),
        feature_distance=draw(st.none() | REAL),
        decision=draw(st.none() | st.sampled_from(["accept", "review", "reject"])),
        defect_area=draw(st.none() | SHARES),
        defect_boxes=draw(st.none() | st.lists(BOXES, max_size=3)),
        edge_centre_x=draw(st.none() | SHARES),
        edge_centre_y=draw(st.none() | SHARES),
        offset_x=draw(st.none() | REAL),
        offset_y=draw(st.none() | REAL),
        rotation=draw(st.none() | REAL),
    )


@given(st.lists(rows(), max_size=5))
def test_any_rows_come_back_as_they_were(written: list[ScoreRow]) -> None:
    table = to_table(written)
    validate(table)
    assert to_rows(parquet.from_bytes(parquet.to_bytes(table), "x")) == written


def test_the_columns_are_those_promised_and_in_order() -> None:
    assert SCHEMA.names == COLUMNS
    assert [field.name for field in fields(ScoreRow)] == COLUMNS
    kinds = {
        **{
            name: pa.float32()
            for name in ("score", "threshold", "anomalous_area", "defect_area", *STATISTICS, *OFFSETS)
        },
        **{name: pa.timestamp("us", "UTC") for name in ("captured_at", "scored_at")},
        **{name: pa.int32() for name in ("map_index", "image_height", "image_width")},
        "run_date": pa.date32(),
        "p_value": pa.float64(),
        "is_anomalous": pa.bool_(),
        "defect_boxes": pa.list_(pa.struct([*((side, pa.int32()) for side in SIDES), ("peak", pa.float32())])),
    }
    assert {field.name: field.type for field in SCHEMA} == {name: kinds.get(name, pa.string()) for name in COLUMNS}
    assert SCHEMA.metadata == {b"schema_version": b"2"}


def test_the_same_rows_are_the_same_bytes(local: LocalStore, ok_row: ScoreRow, bad_row: ScoreRow) -> None:
    digest, count = write_part(local, "a.parquet", [ok_row, bad_row])
    assert (digest, count) == (hashlib.sha256(local.read("a.parquet")).hexdigest(), 2)
    assert write_part(local, "b.parquet", [ok_row, bad_row])[0] == digest
    assert write_part(local, "c.parquet", [bad_row, ok_row])[0] != digest
    assert read_part(local, "a.parquet").schema.equals(SCHEMA, check_metadata=True)
    assert to_rows(read_scores(local, ["a.parquet", "b.parquet"])) == [ok_row, bad_row] * 2
    assert read_scores(local, []).schema.equals(SCHEMA)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"score": None}, "status 'ok' without score"),
        ({"score": math.nan}, "no finite number"),
        ({"score": math.inf}, "no finite number"),
        ({"is_anomalous": None}, "without is_anomalous"),
        ({"p_value": 1.5}, "p_value is 1.5"),
        ({"p_value": math.nan}, "p_value is nan"),
        ({"anomalous_area": -0.5}, "anomalous_area is -0.5"),
        ({"brightness": 255.0}, "brightness is 255"),
        ({"contrast": math.nan}, "contrast is nan"),
        ({"defect_area": 1.5}, "defect_area is 1.5"),
        ({"decision": "perhaps"}, "'perhaps' is none of accept, review, reject"),
        ({"status": "fine"}, "'fine' is none of ok, unreadable, rejected"),
        ({"status": "unreadable", "error": "x"}, "needs an error and no score"),
        ({"status": "rejected", "score": None, "is_anomalous": None}, "needs an error"),
        ({"etag": None}, "etag is missing"),
    ],
)
def test_rows_that_contradict_themselves_are_not_written(
    local: LocalStore, ok_row: ScoreRow, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(CorruptObject, match=words):
        write_part(local, "p.parquet", [ok_row, replace(ok_row, **changes)])
    assert local.info("p.parquet") is None


def test_tables_of_other_columns_are_refused(ok_row: ScoreRow) -> None:
    table = to_table([ok_row])
    for other in (table.drop_columns(["score"]), table.append_column("x", pa.array([1]))):
        with pytest.raises(CorruptObject, match="not those of score rows"):
            validate(other)


def test_what_is_no_part_of_this_release_is_refused(local: LocalStore, ok_row: ScoreRow) -> None:
    table = to_table([ok_row])
    files = {
        "no column sharpness": parquet.to_bytes(table.drop_columns(["sharpness"])),
        "names schema version b'3', not 2": parquet.to_bytes(table.replace_schema_metadata({"schema_version": "3"})),
        "is not the Parquet file": parquet.to_bytes(table)[:-20],
    }
    for words, data in files.items():
        local.write("a.parquet", data)
        for read in (read_part, lambda *of: read_columns(*of, ["sharpness", "score"])):
            with pytest.raises(CorruptObject, match=words) as refused:
                read(local, "a.parquet")
            assert "a.parquet" in str(refused.value)


def test_some_columns_alone_are_read(local: LocalStore, ok_row: ScoreRow) -> None:
    write_part(local, "a.parquet", [replace(ok_row, sharpness=1.5)])
    table = read_columns(local, "a.parquet", ["sharpness", "image_key"])
    assert table.to_pydict() == {"sharpness": [1.5], "image_key": [ok_row.image_key]}


@pytest.fixture
def parts(local: LocalStore, ok_row: ScoreRow, bad_row: ScoreRow) -> str:
    """Two partitions; the root of the scores."""
    other = replace(ok_row, image_key="z", category="metal", run_date=date(2026, 3, 3), score=0.5)
    for row_list in ([bad_row, ok_row], [other]):
        row = row_list[0]
        write_part(local, layout.part_key(row.category, row.run_date, "v1", "abc"), row_list)
    return local.duckdb_uri("scores")


class TestReaders:
    """As the documents tell analysts to read; also the first part alone, whose columns are in its path too."""

    def test_duckdb(self, parts: str) -> None:
        source = f"read_parquet('{parts}/**/*.parquet', hive_partitioning=true, union_by_name=true)"
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            found = connection.sql(f"SELECT * FROM {source} ORDER BY image_key").to_arrow_table()
            assert found.column_names == COLUMNS
            assert found["run_date"].to_pylist() == [date(2026, 3, 2), date(2026, 3, 2), date(2026, 3, 3)]
            assert found["score"].to_pylist() == [1.5, None, 0.5]
            day = connection.sql(f"SELECT count(*) FROM {source} WHERE run_date = DATE '2026-03-03'").fetchall()
            assert day == [(1,)]

    def test_polars(self, parts: str) -> None:
        frame = pl.scan_parquet(f"{parts}/**/*.parquet", hive_partitioning=True)
        found = frame.filter(pl.col("run_date") == date(2026, 3, 2)).sort("image_key").collect()
        assert found.columns == COLUMNS
        assert found["score"].to_list() == [1.5, None]
        assert found["scored_at"][0] == datetime(2026, 3, 3, 2, 0, tzinfo=UTC)

    def test_pandas(self, parts: str) -> None:
        found = pd.read_parquet(parts, partitioning=None).sort_values("image_key")
        assert list(found.columns) == COLUMNS
        np.testing.assert_array_equal(found["score"], [1.5, np.nan, 0.5])
        assert found["run_date"].tolist() == [date(2026, 3, 2), date(2026, 3, 2), date(2026, 3, 3)]

    def test_pyarrow(self, parts: str) -> None:
        dataset = ds.dataset(parts, schema=SCHEMA, partitioning=None)
        found = dataset.to_table(filter=ds.field("category") == "metal")
        assert found["image_key"].to_pylist() == ["z"]
        assert dataset.count_rows() == 3


def test_a_part_in_s3_is_read_by_its_address(moto_s3: Bucket, ok_row: ScoreRow) -> None:
    store = open_store(f"{moto_s3.uri}/plant")
    key = layout.part_key("cloth", ok_row.run_date, "v1", "abc")
    write_part(store, key, [ok_row])
    assert to_rows(read_part(store, key)) == [ok_row]
    with duckdb.connect() as connection:
        connection.register_filesystem(store.filesystem)
        source = f"read_parquet('{store.duckdb_uri('scores/**/*.parquet')}', hive_partitioning=true)"
        assert connection.sql(f"SELECT category, score FROM {source}").fetchall() == [("cloth", 1.5)]
