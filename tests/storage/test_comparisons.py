"""Records of comparisons: written once, found again, and cleaned up if nothing came of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from storage import layout
from storage.comparisons.contender import (
    SCORES,
    ContenderMaps,
    ContenderRecord,
    read_contender,
    read_maps,
    read_scores,
    write_contender,
)
from storage.comparisons.outcome import ComparisonOutcome, outcomes, read_outcome, write_outcome
from storage.comparisons.plan import read_plan, write_plan
from storage.errors import CorruptObject
from storage.filesystem import LocalStore
from storage.verification.comparisons import comparison_findings, find_old_comparisons
from storage.verification.garbage import remove_leftovers
from storage.verification.verification import Scope, verify
from tests.made_up_plan import PLAN

NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LATER = datetime.now(UTC) + timedelta(days=8)
RECORD = ContenderRecord(
    "padim", 0, threshold=1.0, low=0.9, high=1.1, pixel_threshold=0.5, fit="a fit", training_seconds=12.5,
    elapsed_seconds=13.0, images_per_second=3.5, peak_memory=2**30, model_bytes=1000, pixels={"auroc": 0.9},
    scores="", maps="", run_id="run", made_at=NOW, software={"a": "1"},
)  # fmt: skip


def outcome(comparison: str = "c0", later: int = 0, *contenders: str) -> ComparisonOutcome:
    return ComparisonOutcome(
        "cloth", comparison, "padim", 0, "padim is best", beyond_chance=True, drawn=False, every_method=True,
        contenders=contenders, failed=(), figures={"auroc": 0.9}, report="r", run_id="run",
        made_at=NOW + timedelta(seconds=later),
    )  # fmt: skip


def put_contender(store: LocalStore, digest: str = "d1", score: float = 0.5) -> ContenderRecord:
    row = ["images/cloth/a.png", False, "p", "choosing", True, "hole", "padim", 0, score, 0.1, "accept"]
    scores = pa.Table.from_arrays([pa.array([v], f.type) for v, f in zip(row, SCORES, strict=True)], schema=SCORES)
    maps = ContenderMaps(np.full((1, 2, 2), score, np.float16), np.array([0]))
    return write_contender(store, "cloth", digest, RECORD, scores, maps)


def keys(store: LocalStore) -> list[str]:
    return [info.key for info in store.list("comparisons/")]


def test_what_was_written_is_read(local: LocalStore) -> None:
    write_plan(local, PLAN)
    write_plan(local, PLAN)
    plan = read_plan(local, PLAN.key)
    assert plan == PLAN and plan.drawn and plan.judged[1].name == "images/cloth/a.png#drawn"
    assert read_contender(local, "cloth", "d1") is None
    record = put_contender(local)
    assert read_contender(local, "cloth", "d1") == record
    assert read_scores(local, record).to_pylist()[0]["score"] == 0.5
    maps = read_maps(local, record)
    assert (maps.maps.tolist(), maps.index.tolist()) == ([[[0.5, 0.5]] * 2], [0])
    for one in (outcome("c0", 0), outcome("c1", 5), outcome("c2", 3)):
        write_outcome(local, one)
    assert [one.id for one in outcomes(local, "cloth")] == ["c1", "c2", "c0"]
    assert read_outcome(local, "cloth", "c1") == outcome("c1", 5)


def test_the_first_of_two_runs_stays_and_the_second_leaves_nothing(local: LocalStore) -> None:
    first = put_contender(local)
    there = {key: local.read(key) for key in keys(local)}
    assert put_contender(local, score=0.6) == put_contender(local) == first
    assert {key: local.read(key) for key in keys(local)} == there


def test_damaged_ones_are_told(local: LocalStore) -> None:
    record = put_contender(local)
    local.write(record.maps, b"PK no zip")
    with pytest.raises(CorruptObject, match="compare again"):
        read_maps(local, record)
    local.write(layout.comparisons_prefix("cloth", "c0") + "comparison.json", b"{}")
    assert list(outcomes(local, "cloth")) == []
    (finding,) = comparison_findings(local, "cloth")
    assert finding.wrong and "rd-inspect compare --category cloth" in finding.cure
    assert [one for one in verify(local, local, Scope()).findings if one.wrong] == [finding]
    assert verify(local, local, Scope(categories=("other",))).wrong == 0
    assert find_old_comparisons(local, now=LATER, older_than=DAY) == []  # it may name any contender


def test_a_contender_without_its_files_is_told_with_the_cure(local: LocalStore) -> None:
    record = put_contender(local)
    whole = local.read(record.maps)
    for key, deep in ((record.maps, True), (record.scores, False)):
        local.write(record.maps, b"PK no zip" if deep else whole)
        if not deep:
            local.remove(key)
        (finding,) = [one for one in verify(local, local, Scope(deep=deep)).findings if one.wrong]
        assert finding.where == "comparisons/cloth/contenders/d1/" and "Remove its folder" in finding.what
        assert "rd-inspect compare --category cloth" in finding.cure
    with pytest.raises(CorruptObject, match="trained anew"):
        read_scores(local, record)


def test_what_no_outcome_names_goes_when_it_is_old(local: LocalStore) -> None:
    for digest in ("d1", "d2"):
        put_contender(local, digest)
    for comparison in ("c0", "c9"):
        write_plan(local, replace(PLAN, id=comparison))
    write_outcome(local, outcome("c0", 0, "d1"))
    assert find_old_comparisons(local, now=datetime.now(UTC), older_than=DAY) == []
    found = find_old_comparisons(local, now=LATER, older_than=DAY)
    prefixes = ["comparisons/cloth/c9/", "comparisons/cloth/contenders/d2/"]
    assert [(one.what, one.key, one.objects) for one in found] == [
        ("unfinished comparison", prefixes[0], 1), ("unfinished comparison", prefixes[1], 3),
    ]  # fmt: skip
    assert remove_leftovers(local, found, now=datetime.now(UTC), older_than=DAY) == []
    assert remove_leftovers(local, found, now=LATER, older_than=DAY) == found
    left = keys(local)
    assert len(left) == 5 and not [key for key in left if key.startswith(tuple(prefixes))]
