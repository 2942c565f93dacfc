"""The summary of a night, part by part, against the night held whole."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.filesystem import Store, open_store
from storage.partitions import scores, seals
from storage.partitions.first_looks import first_looks
from storage.partitions.scores import ScoreRow, to_table
from storage.records import Partition
from tasks.night.night_summary import NightSummary, summarise_night
from tests.drift_plants import FIRST, Day, put_calibrated_model, put_day

WORST, FIRST_LOOKS, ERRORS = 4, 5, 3


@pytest.fixture(scope="module")
def some_row(tmp_path_factory: pytest.TempPathFactory) -> ScoreRow:
    store = open_store(tmp_path_factory.mktemp("rows"), create=True)
    put_calibrated_model(store, "cloth")
    return put_day(store, "cloth", FIRST, Day(images=1))[0]


def rows_like(row: ScoreRow, drawn: list[tuple[int | None, int, str]]) -> list[ScoreRow]:
    """(score or None, digest, decision) -> rows with keys in order."""
    unreadable = replace(row, score=None, content_digest=None, decision=None, is_anomalous=None, status="unreadable")
    return [
        replace(unreadable, image_key=f"{i:02}", error=f"cut off at {i}")
        if score is None
        else replace(
            row,
            image_key=f"{i:02}",
            score=float(score),
            content_digest=f"{digest:<064}",
            decision=decision,
            contrast=0.0 if score == 3 else 0.01,
        )
        for i, (score, digest, decision) in enumerate(drawn)
    ]


@given(
    drawn=st.lists(
        st.tuples(st.none() | st.integers(0, 5), st.integers(0, 6), st.sampled_from(["accept", "review", "reject"])),
        max_size=30,
    ),
    size=st.integers(1, 9),
)
def test_parts_add_up_to_the_whole(some_row: ScoreRow, drawn: list, size: int) -> None:
    rows = rows_like(some_row, drawn)
    found = NightSummary(WORST, FIRST_LOOKS, 0.05, ERRORS)
    for start in range(0, len(rows), size):
        found.add(to_table(rows[start : start + size]))
    ok = [row for row in rows if row.score is not None]
    assert found.statuses == Counter(row.status for row in rows)
    assert found.blank == sum(row.contrast == 0 for row in ok)
    assert found.anomalous == sum(bool(row.is_anomalous) for row in ok)
    assert found.to_review == sum(row.decision == "review" for row in ok)
    assert found.scores.tolist() == [row.score for row in ok]
    assert found.duplicates == len(ok) - len({row.content_digest for row in ok})
    assert found.errors == [(row.image_key, row.error) for row in rows if row.score is None][:ERRORS]
    expected = sorted(ok, key=lambda row: (-row.score, row.image_key))[:WORST]
    assert [row.image_key for row in scores.to_rows(found.worst)] == [row.image_key for row in expected]
    whole = first_looks(to_table(rows), 0.05, FIRST_LOOKS)
    assert found.first["image_key"].to_pylist() == whole["image_key"].to_pylist()


def test_an_image_counts_once_by_its_latest_row(store: Store) -> None:
    put_calibrated_model(store, "cloth")
    put_day(store, "cloth", FIRST, Day(images=6, unreadable=2))
    put_day(
        store,
        "cloth",
        FIRST,
        Day(images=3, score=30.0),
        names=["0001.png", "0004.png", "late.png"],
        later=3,
        etag="e2",
    )
    put_day(store, "cloth", FIRST, Day(images=1, score=60.0), names=["0004.png"], later=5, etag="e3")
    seal = seals.read_seal(store, Partition("cloth", FIRST, "v1"))
    assert seal is not None and len(seal.plans) == 3
    found = summarise_night(store, seal, worst=3, first=2, alpha=0.05, errors=5)
    assert found.statuses == {"ok": 6, "unreadable": 1}
    assert [key.rsplit("/", 1)[1] for key, _ in found.errors] == ["0000.png"]
    names = [row.image_key.rsplit("/", 1)[1] for row in scores.to_rows(found.worst)]
    assert names[0] == "0004.png" and set(names[1:]) == {"0001.png", "late.png"}
    assert len(found.scores) == 6 and np.count_nonzero(found.scores > 5) == 3
