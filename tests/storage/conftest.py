"""Stores of every kind, and rows to put into them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from storage.errors import TransientFault
from storage.filesystem import LocalStore, Store
from storage.records import ObjectInfo, Partition
from storage.scores import ScoreRow
from tests.object_stores import moto_endpoint, moto_s3, seaweed_endpoint, seaweed_s3

__all__ = ["moto_endpoint", "moto_s3", "seaweed_endpoint", "seaweed_s3"]

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


class FaultyStore(LocalStore):
    """A store whose n-th write fails: before anything is written, or after, with the answer lost."""

    def __init__(self, root: Path, *, fails_at: int, after: bool) -> None:
        super().__init__(root)
        self.fails_at, self.after, self.writes = fails_at, after, 0

    def _faulty(self, write: Callable[[], None]) -> None:
        self.writes += 1
        failing = self.writes == self.fails_at
        if failing and not self.after:
            raise TransientFault("injected: the connection was cut before the write")
        write()
        if failing:
            raise TransientFault("injected: the connection was cut after the write")

    def _write(self, key: str, data: bytes) -> None:
        self._faulty(lambda: super(FaultyStore, self)._write(key, data))

    def _create(self, key: str, data: bytes) -> None:
        self._faulty(lambda: super(FaultyStore, self)._create(key, data))

    def _replace(self, key: str, data: bytes, etag: str) -> None:
        self._faulty(lambda: super(FaultyStore, self)._replace(key, data, etag))


def objects(store: Store) -> dict[str, bytes]:
    """All a store holds."""
    return {info.key: store.read(info.key) for info in store.list("")}
