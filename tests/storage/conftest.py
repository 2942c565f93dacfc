"""Stores of every kind, and rows to put into them."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from storage.filesystem import LocalStore
from storage.partitions.scores import ScoreRow
from storage.records import ObjectInfo, Partition

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    root = tmp_path / "store"
    root.mkdir()
    return LocalStore(root)


@pytest.fixture
def partition() -> Partition:
    return Partition("cloth", DAY, "v1")


@pytest.fixture
def images() -> list[ObjectInfo]:
    return [ObjectInfo(f"images/cloth/{DAY}/{i:03}.png", f"etag{i}", 100 + i, NOW) for i in range(10)]


@pytest.fixture
def ok_row() -> ScoreRow:
    return ScoreRow(
        image_key=f"images/cloth/{DAY}/000.png",
        etag="etag0",
        content_digest="0" * 64,
        category="cloth",
        run_date=DAY,
        captured_at=NOW,
        model_version="v1",
        preprocessing="p1",
        score=1.5,
        threshold=1.0,
        p_value=0.01,
        is_anomalous=True,
        status="ok",
        error=None,
        map_store="maps/cloth/x.zarr",
        map_index=0,
        anomalous_area=0.25,
        image_height=48,
        image_width=64,
        scored_at=NOW,
        run_id="run-1",
    )


@pytest.fixture
def bad_row(ok_row: ScoreRow) -> ScoreRow:
    return replace(
        ok_row,
        image_key=f"images/cloth/{DAY}/001.png",
        content_digest=None,
        score=None,
        p_value=None,
        is_anomalous=None,
        status="unreadable",
        error="the file is empty (0 bytes)",
        map_index=None,
        anomalous_area=None,
        image_height=None,
        image_width=None,
    )
