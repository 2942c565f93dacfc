"""What a training says, and hands on, before a fit that may take long."""

import logging
import re

import pytest

from rd_core.detectors.detector import FitRun, Normals
from rd_core.detectors.settings import DetectorSettings
from rd_core.features.shared_pass import SharedPass
from rd_core.pictures.images import digest_of
from storage.filesystem import Store
from tasks.training import fit_model as fit_module
from tasks.training.fit_model import fit_model
from tests.factories import NOW, put_images, quick_request
from tests.retraining_plants import put_labels


@pytest.fixture(autouse=True)
def _normals(store: Store) -> None:
    keys = put_images(store, "cloth", [f"part{i // 2:02}_view{i % 2}.png" for i in range(24)])
    put_labels(store, "cloth", "normals", keys)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Normals, FitRun]]:
    """Fits that were begun, and ended before their first step."""
    begun: list[tuple[Normals, FitRun]] = []

    def train(_name: str, _settings: object, normals: Normals, run: FitRun, **_: object) -> None:
        begun.append((normals, run))
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_module, "train", train)
    return begun


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What a run would log."""
    monkeypatch.setattr("tasks.training.fit_model.get_run_logger", lambda: logging.getLogger("run"))
    caplog.set_level(logging.INFO)
    return caplog


def begin(store: Store, **changes: object) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit_model.fn(store.uri, store.uri, quick_request(**changes), run_id="run-1", now=NOW, promote=False)


@pytest.mark.parametrize(
    ("precision", "quick", "warned"), [("bfloat16", False, 1), ("bfloat16", True, 0), ("float32", False, 0)]
)
def test_a_processor_that_lacks_the_precision_is_told_of(
    store: Store,
    fits: list[tuple[Normals, FitRun]],
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    quick: bool,
    warned: int,
) -> None:
    monkeypatch.setattr(fit_module, "is_quick", lambda _device: quick)
    begin(store, precision=precision)
    told = [one for one in log.records if one.levelno == logging.WARNING and "precision=bfloat16" in one.getMessage()]
    assert len(told) == warned and len(fits) == 1


def test_a_fit_is_told_what_it_shares(store: Store, fits: list[tuple[Normals, FitRun]]) -> None:
    for shared in (None, SharedPass("comparison")):
        begin(store, shared=shared)
    assert [run.shared for _, run in fits] == [None, SharedPass("comparison")]
    for normals, _ in fits:
        assert digest_of(normals.train) and digest_of(normals.train) != digest_of(normals.early_stop)


def test_the_cost_of_a_dear_fit_is_told_before_it(
    store: Store,
    fits: list[tuple[Normals, FitRun]],
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def words(_: object, train: int, early_stop: int) -> str:
        return f"{train} and {early_stop} images take 7 GMAC"

    monkeypatch.setattr(DetectorSettings, "cost_in_words", words)
    begin(store)
    assert re.search(r"training cost category=cloth: \d+ and \d+ images take 7 GMAC", log.text) and len(fits) == 1
