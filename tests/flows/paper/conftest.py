"""A small folder in MVTec's layout, and trainings that are none."""

from pathlib import Path

import pytest

from flows.paper import benchmark as paper_benchmark
from tests.flows.paper.stubbed_benchmark import Stub, make_category


@pytest.fixture(scope="module")
def mvtec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "mvtec"
    make_category(folder / "carpet", masks=True)
    make_category(folder / "casting", masks=False)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results" / "rows.parquet"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    made = Stub()
    monkeypatch.setattr(paper_benchmark, "benchmark_category", made.measure)
    monkeypatch.setattr(paper_benchmark, "check_teacher", lambda name, weights: None)
    return made
