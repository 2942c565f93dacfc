"""A CUDA graph as far as a CPU can tell: a stand-in replays what was captured, on the same tensors."""

import logging
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from rd_core.detectors.settings import MICRO_BATCH
from rd_core.engines import engine
from rd_core.engines.choice import TORCH
from rd_core.engines.cuda_graph import WARM_UPS, GraphedDetector, graphed
from rd_core.engines.engine import computed_by


class Replayed:
    """Keeps the operations of a capture, as torch dispatches them, and runs them again into the tensors they gave."""

    def __init__(self, *, broken: bool = False, wrong: bool = False) -> None:
        self.kept = []
        self.warm_ups = 0
        self._broken, self._wrong = broken, wrong

    @contextmanager
    def warming_up(self):
        with _Recorder() as seen:
            yield
        self.warm_ups = sum(name == "aten::amax" for name, *_ in seen.calls)

    @contextmanager
    def capturing(self):
        if self._broken:
            raise RuntimeError("operation not permitted when stream is capturing")
        with _Recorder() as seen:
            yield
        self.kept = seen.calls

    def replay(self) -> None:
        for _, function, arguments, options, result in self.kept:
            again = function(*arguments, **options)
            pairs = zip(_tensors(result), _tensors(again), strict=True)
            for old, new in pairs:
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new * 1.001 if self._wrong and old.is_floating_point() else new)


class _Recorder(torch.utils._python_dispatch.TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        self.calls.append((function.name().split(".")[0], function, arguments, options or {}, result))
        return result


def _tensors(result):
    return [result] if isinstance(result, torch.Tensor) else [r for r in result or () if isinstance(r, torch.Tensor)]


@pytest.fixture
def model(random_model):
    return random_model.ready()


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (MICRO_BATCH + 3, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


def test_a_replay_gives_the_models_maps_scores_and_distances(model, images) -> None:
    graph = Replayed()
    result = GraphedDetector(model, graph)
    assert graph.warm_ups >= WARM_UPS
    for name, mine, expected in zip(
        ("maps", "scores", "distances"), result.score(images), model.score(images), strict=True
    ):
        assert np.array_equal(mine, expected), name


def test_a_replay_ignores_what_it_is_told_each_time(model, images) -> None:
    result = GraphedDetector(model, Replayed(), ignoring=True)
    for left in (20, 40):
        counted = np.ones(images.shape[:3], np.bool_)
        counted[:, 10:, left:] = False
        pairs = zip(result.score(images, counted), model.score(images, counted), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs)
    assert np.array_equal(result.score(images).maps, model.score(images).maps)
    with pytest.raises(ValueError, match="ignoring=True"):
        GraphedDetector(model, Replayed()).score(images, counted)


def test_a_result_stays_when_the_next_one_comes(model, images) -> None:
    result = GraphedDetector(model, Replayed())
    first = result._detect(images[:MICRO_BATCH])
    kept = first.maps.copy()
    result._detect(images[::-1][:MICRO_BATCH].copy())
    assert np.array_equal(first.maps, kept)


def test_two_threads_take_turns(model, images) -> None:
    result, expected, wrong = GraphedDetector(model, Replayed()), model.score(images).scores, []

    def score() -> None:
        with torch.inference_mode():
            for _ in range(3):
                wrong.extend(np.flatnonzero(result.score(images).scores != expected))

    threads = [threading.Thread(target=score) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("graph", "reason"),
    [(Replayed(broken=True), "not permitted when stream is capturing"), (Replayed(wrong=True), "are not those of")],
)
def test_without_a_graph_that_agrees_the_model_scores_and_says_so(model, graph, reason, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        assert graphed(model, graph) is model
    assert reason in caplog.text
    assert "one by one, the same but slower" in caplog.text


def test_a_graph_that_agrees_is_taken(model, caplog) -> None:
    assert isinstance(graphed(model, Replayed()), GraphedDetector)
    assert not caplog.records


def test_on_a_cpu_there_is_no_graph(model, monkeypatch) -> None:
    monkeypatch.setattr(engine, "CudaGraph", lambda: pytest.fail("asked for a CUDA graph"))
    assert computed_by(TORCH, model) is model


def test_a_model_neither_makes_constants_nor_asks_for_a_value_while_it_detects(model, images) -> None:
    """A capture refuses both: all constants have to lie on the device before, and the host knows no results."""
    batch = torch.from_numpy(images[:MICRO_BATCH])
    with _Recorder() as seen:
        model.detect(batch)
        model.detect(batch, torch.ones(batch.shape[:3], dtype=torch.bool))
    assert not {"aten::lift_fresh", "aten::_local_scalar_dense"} & {name for name, *_ in seen.calls}
