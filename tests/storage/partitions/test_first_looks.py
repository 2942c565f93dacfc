"""The list of what to look at first: the same by its function and by its SQL."""

from dataclasses import asdict, replace
from datetime import UTC, date, datetime

import duckdb
import pyarrow as pa
import pytest

from storage.partitions import scores
from storage.partitions.first_looks import NEARNESS, WORTH_A_LOOK, first_looks
from storage.partitions.scores import ScoreRow

ALPHA = 0.05
NOW = datetime(2026, 3, 3, tzinfo=UTC)
PLAIN = ScoreRow(
    image_key="k", etag="e", content_digest="d", category="cloth", run_date=date(2026, 3, 2), captured_at=NOW,
    model_version="v1", preprocessing="p", score=0.5, threshold=1.0, p_value=0.5, is_anomalous=False, status="ok",
    error=None, map_store="m", map_index=0, anomalous_area=0.0, image_height=1, image_width=1, scored_at=NOW,
    run_id="r", decision="accept",
)  # fmt: skip
BAD = replace(
    PLAIN,
    status="unreadable",
    error="cut off",
    score=None,
    threshold=None,
    p_value=None,
    is_anomalous=None,
    decision=None,
)
NIGHT = {
    "far": replace(PLAIN, score=3.0, p_value=0.01, is_anomalous=True, decision="reject"),
    "near": replace(PLAIN, score=1.1, p_value=0.02, is_anomalous=True, decision="reject"),
    "band": replace(PLAIN, score=0.8, p_value=0.3, decision="review"),
    "borderline": replace(PLAIN, score=0.7, p_value=0.15),
    "twin of near": replace(PLAIN, score=1.1, p_value=0.02, is_anomalous=True, decision=None),
    "just outside": replace(PLAIN, score=0.69, p_value=0.16),
    "ordinary": PLAIN,
    "bad": BAD,
}
ORDER = ["near", "twin of near", "band", "borderline", "far"]


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    listed = [asdict(replace(row, image_key=name)) for name, row in NIGHT.items()]
    return pa.Table.from_pylist(listed, schema=scores.SCHEMA)


def test_flagged_band_and_borderline_the_nearest_to_the_threshold_first(rows: pa.Table) -> None:
    assert first_looks(rows, ALPHA, 99)["image_key"].to_pylist() == ORDER
    assert first_looks(rows, ALPHA, 3)["image_key"].to_pylist() == ORDER[:3]
    assert first_looks(rows.slice(0, 0), ALPHA, 3).num_rows == 0


def test_part_by_part_is_the_same(rows: pa.Table) -> None:
    found = rows.slice(0, 0)
    for at in range(rows.num_rows):
        found = first_looks(pa.concat_tables([found, rows.slice(at, 1)]), ALPHA, 3)
    assert found["image_key"].to_pylist() == ORDER[:3]


def test_a_database_finds_the_same(rows: pa.Table) -> None:
    asked = (
        f"SELECT image_key FROM rows, (SELECT {ALPHA} AS alpha) WHERE {WORTH_A_LOOK} ORDER BY {NEARNESS}, image_key"
    )
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        assert [key for (key,) in connection.execute(asked).fetchall()] == ORDER
