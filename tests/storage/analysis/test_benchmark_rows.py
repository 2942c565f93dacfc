"""The result file of a benchmark: rows are added, never lost, and no other file is touched."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.analysis.benchmark_rows import SCHEMA, BenchmarkRow, add_row, read_rows
from storage.errors import CorruptObject
from storage.filesystem import Store, open_store

ROW = BenchmarkRow(
    protocol="paper", dataset="mvtec", category="cable", method="reverse_distillation",
    variant="resnet18-oce-M123", seed=0, settings_digest="d",
    teacher="resnet18", bottleneck="oce", map_stages="1,2,3", image_height=256, image_width=256,
    image_auroc=0.95, pixel_auroc=None, aupro=None, paper_pro=0.5, train_images=10, normal_images=4,
    anomalous_images=5, masked_images=5, steps=100, training_seconds=1.5, images_per_second=20.0, model_bytes=7,
    settings="{}", software="{}", finished_at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
)  # fmt: skip
FILE = "rows.parquet"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def test_rows_come_back_as_they_were_added(store: Store) -> None:
    assert read_rows(store, FILE) == []
    rows = [ROW, replace(ROW, seed=1), replace(ROW, settings_digest="e", image_auroc=None)]
    for row in rows:
        add_row(store, FILE, row)
    assert read_rows(store, FILE) == rows


def test_the_same_measurement_is_one_row(store: Store) -> None:
    for row in (ROW, replace(ROW, seed=1), replace(ROW, image_auroc=0.96)):
        add_row(store, FILE, row)
    assert [(row.seed, row.image_auroc) for row in read_rows(store, FILE)] == [(1, 0.95), (0, 0.96)]


def test_any_parquet_reader_reads_them(store: Store, tmp_path: Path) -> None:
    add_row(store, FILE, ROW)
    table = pq.read_table(tmp_path / FILE)
    assert table.schema.equals(SCHEMA)
    assert table["image_auroc"].to_pylist() == [0.95]


@pytest.mark.parametrize("there", [False, True])
def test_a_row_that_another_run_adds_meanwhile_is_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    if there:
        add_row(store, FILE, ROW)
    read, others = store.read_with_etag, [replace(ROW, category="pill"), replace(ROW, category="zipper")]

    def interrupted(key: str) -> tuple[bytes, str]:
        try:
            return read(key)
        finally:
            if others:
                add_row(open_store(store.uri), FILE, others.pop())

    monkeypatch.setattr(store, "read_with_etag", interrupted)
    add_row(store, FILE, replace(ROW, category="screw"))
    assert {row.category for row in read_rows(open_store(store.uri), FILE)} >= {"screw", "pill", "zipper"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PAR1 but no more", "not the Parquet file it should be"),
        (b"", "not the Parquet file it should be"),
        (pa.table({"price": [1]}), "not of a benchmark"),
        (pa.table({name: pa.array([], pa.string()) for name in SCHEMA.names}), "types"),
    ],
)
def test_another_file_is_refused_and_stays(
    store: Store, tmp_path: Path, content: bytes | pa.Table, words: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / FILE).write_bytes(content)
    else:
        pq.write_table(content, tmp_path / FILE)
    before = (tmp_path / FILE).read_bytes()
    for act in (lambda: read_rows(store, FILE), lambda: add_row(store, FILE, ROW)):
        with pytest.raises(CorruptObject, match=words):
            act()
    assert (tmp_path / FILE).read_bytes() == before
