"""The generated year is one the product believes, and the figure of night sizes draws what it is given."""

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pytest

from benchmarks.night_figure import draw_costs
from benchmarks.year_of_scores import QUESTIONS
from benchmarks.year_store import Year, write_year
from storage import layout
from storage.analysis.merged_days import read_merged_days
from storage.analysis.queries import run_query
from storage.partitions import scores, seals
from storage.stores.filesystem import Store, open_store

YEAR = Year(rows=2_400, categories=6, nights=4, parts=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(tmp_path_factory.mktemp("year"), create=True)
    write_year(store, YEAR)
    return store


def test_rows_are_valid_and_as_many_as_asked_for(store: Store) -> None:
    sealed = list(seals.list_seals(store))
    assert len(sealed) == 4 * (6 + 2)
    parts = [part.key for seal in sealed for plan in seal.plans for part in plan.parts]
    for key in parts[:3]:
        scores.validate(scores.read_part(store, key))
    assert run_query(store, "SELECT count(*) n FROM latest")["n"].to_pylist() == [2_400]
    assert run_query(store, "SELECT count(*) n FROM scores")["n"].to_pylist() == [2_400 + 800]


def test_every_question_has_the_same_answer_with_copies_and_without(store: Store, tmp_path: Path) -> None:
    merged = read_merged_days(store)
    assert merged is not None
    assert merged.others == ()
    found = {question: run_query(store, sql) for question, sql in QUESTIONS.items()}
    assert all(len(table) > 0 for table in found.values())
    without = shutil.copytree(store.uri, tmp_path / "without", ignore=shutil.ignore_patterns("merged"))
    other = open_store(without)
    assert not list(other.list(layout.MERGED_PREFIX))
    for question, sql in QUESTIONS.items():
        assert _rounded(run_query(other, sql)) == _rounded(found[question]), question


def _rounded(table: pa.Table) -> list[tuple]:
    """Sums of floats depend on the order of the threads."""
    rows = (row.values() for row in table.to_pylist())
    return [tuple(round(value, 9) if isinstance(value, float) else value for value in row) for row in rows]


def test_a_generation_goes_on(store: Store) -> None:
    before = {info.key: info.etag for info in store.list("seals/")}
    write_year(store, YEAR)
    assert {info.key: info.etag for info in store.list("seals/")} == before


def test_costs_are_drawn_at_their_height() -> None:
    drawn = ElementTree.fromstring(draw_costs([1_000, 10_000], {"a": [10.0, 1.0], "b": [0.1, 0.0]}))
    lines = [one.attrib["points"] for one in drawn.iter("{http://www.w3.org/2000/svg}polyline")]
    heights = sorted([float(point.split(",")[1]) for point in line.split()] for line in lines)
    (first, second), (third, fourth) = heights
    assert first < second < third == fourth
    assert {"a", "b", "1,000", "10,000"} <= {one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")}
