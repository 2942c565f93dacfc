"""A fault at each write, before it or after with the answer lost; then the same call again: the same store."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from proofs.model_cards import publish_made_up
from storage.errors import AlreadyExists, TransientFault
from storage.filesystem import LocalStore, Store
from storage.models.models import promote
from storage.partitions.manifests import publish_plan
from storage.partitions.scores import ScoreRow, write_part
from storage.partitions.seals import SealedPart, SealedPlan, add_plan
from storage.records import ObjectInfo, Partition
from tests.storage.faulty_store import FaultyStore, objects

NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Step:
    """One of the writes a night is made of."""

    before: Callable[[Store], object]
    act: Callable[[Store], object]
    writes: int


@pytest.fixture
def steps(partition: Partition, images: list[ObjectInfo], ok_row: ScoreRow, bad_row: ScoreRow) -> dict[str, Step]:
    def plan(store: Store, part: slice) -> SealedPlan:
        made = publish_plan(
            store, partition, images[part], preprocessing="p", batch_size=4, run_id="r", planned_at=NOW
        )
        parts = (SealedPart("p", made.images, "d"),)
        return SealedPlan(made.manifest, made.digest, made.map_store, made.images, 4, 0, 0, 0, parts, "r", NOW)

    def publish(store: Store, version: str) -> None:
        publish_made_up(store, version=version)

    def nothing(store: Store) -> None: ...

    first, rest = slice(0, 4), slice(4, 10)

    def sealed_first(store: Store) -> None:
        add_plan(store, partition, plan(store, first))
        plan(store, rest)

    def promoted_first(store: Store) -> None:
        for version in ("v1", "v2"):
            publish(store, version)
        promote(store, "cloth", "v1", by="op", now=NOW)

    return {
        "publish_plan": Step(nothing, lambda s: plan(s, first), 1),
        "write_part": Step(nothing, lambda s: write_part(s, "scores/p.parquet", [ok_row, bad_row]), 1),
        "add_plan by create": Step(
            lambda s: plan(s, first), lambda s: add_plan(s, partition, plan(LocalStore(s.root), first)), 1
        ),
        "add_plan by swap": Step(sealed_first, lambda s: add_plan(s, partition, plan(LocalStore(s.root), rest)), 1),
        "publish_model": Step(nothing, lambda s: publish(s, "v1"), 2),
        "promote by create": Step(
            lambda s: publish(s, "v1"), lambda s: promote(s, "cloth", "v1", by="op", now=NOW), 1
        ),
        "promote by swap": Step(promoted_first, lambda s: promote(s, "cloth", "v2", by="op", now=NOW), 1),
    }


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("publish_plan", 1),
        ("write_part", 1),
        ("add_plan by create", 1),
        ("add_plan by swap", 1),
        ("publish_model", 1),
        ("publish_model", 2),
        ("promote by create", 1),
        ("promote by swap", 1),
    ],
)
def test_again_after_a_fault(steps: dict[str, Step], tmp_path: Path, name: str, at: int, after: bool) -> None:
    step = steps[name]
    untouched, faulty = LocalStore(tmp_path / "a"), FaultyStore(tmp_path / "b", fails_at=at, after=after)
    for store in (untouched, faulty):
        store.root.mkdir()
        step.before(LocalStore(store.root))
    step.act(untouched)
    with pytest.raises(TransientFault, match="injected"):
        step.act(faulty)
    try:
        step.act(faulty)
    except AlreadyExists:
        # Only when the last write of an immutable model did arrive: then it is published, and says so.
        assert (name, at, after) == ("publish_model", 2, True)
    assert objects(faulty) == objects(untouched)


def test_every_write_of_every_step_is_among_the_cases(steps: dict[str, Step], tmp_path: Path) -> None:
    for number, step in enumerate(steps.values()):
        store = FaultyStore(tmp_path / str(number), fails_at=0, after=False)
        store.root.mkdir()
        step.before(LocalStore(store.root))
        step.act(store)
        assert store.writes == step.writes
