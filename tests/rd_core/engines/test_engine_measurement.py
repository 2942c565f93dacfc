"""Which library a model's nights take, by a clock that engines and the making of a graph turn on by themselves."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rd_core.detectors import registry
from rd_core.engines import measurement
from rd_core.engines.choice import AUTO, OPENVINO, TORCH
from rd_core.engines.measurement import IMAGES, ROUNDS, SECONDS, EngineChoice, choose_engine, refuse_impossible
from rd_core.errors import EngineUnavailable

BATCH = 16


@dataclass
class Clock:
    now: float = 0.0


@dataclass
class Timed:
    """A detector, or an engine, whose micro-batch takes so many seconds."""

    clock: Clock
    seconds: float
    settings: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(micro_batch_shape=(BATCH, 8, 8, 3), precision="float32")
    )
    name: str = "a_method"
    exportable: bool = True
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    scored: int = 0

    def score(self, images: np.ndarray, counted: np.ndarray | None) -> None:
        assert images.shape == self.settings.micro_batch_shape and images.dtype == np.uint8
        self.clock.now += self.seconds
        self.scored += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(
        measurement, "time", SimpleNamespace(perf_counter=lambda: clock.now, process_time=lambda: clock.now)
    )
    monkeypatch.setattr(measurement, "find_spec", lambda _: object())
    monkeypatch.setattr(measurement, "engine_here", lambda library: f"{library} 1.0")
    return clock


def choose(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, torchs: Timed, openvinos: float, made: float
) -> EngineChoice:
    def computed_by(engine: str, detector: Timed, *, ignoring: bool) -> Timed:
        assert (engine, detector) == (f"{OPENVINO} 1.0", torchs)
        clock.now += made
        return Timed(clock, openvinos)

    monkeypatch.setattr(measurement, "computed_by", computed_by)
    return choose_engine(torchs)


@pytest.mark.parametrize(("gain", "library"), [(1.01, OPENVINO), (0.99, TORCH), (-1.0, TORCH)])
def test_openvino_has_to_gain_what_its_graph_takes_to_make(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, gain: float, library: str
) -> None:
    made = 8.0
    openvinos = 0.4 - gain * made / IMAGES * BATCH
    result = choose(clock, monkeypatch, Timed(clock, 0.4), openvinos, made)
    assert result.library == library
    assert "8 s" in result.why
    assert result.images_per_second == pytest.approx({TORCH: BATCH / 0.4, OPENVINO: BATCH / openvinos})


def test_large_models_are_measured_by_one_round(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, slow = Timed(clock, SECONDS / 100), Timed(clock, SECONDS)
    for model in (quick, slow):
        choose(clock, monkeypatch, model, model.seconds, 1.0)
    assert (quick.scored, slow.scored) == (1 + ROUNDS, 1 + 1)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"device": torch.device("cuda")}, "GPU"),
        ({"exportable": False}, "a_method"),
        ({"settings": SimpleNamespace(precision="bfloat16")}, "bfloat16"),
    ],
)
def test_where_there_is_no_choice_nothing_is_measured(clock: Clock, what: dict[str, object], why: str) -> None:
    choice = choose_engine(Timed(clock, 1.0, **what))
    assert (choice.library, choice.images_per_second, clock.now) == (TORCH, {}, 0)
    assert why in choice.why


def test_without_openvino_torch_is_taken(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "find_spec", lambda _: None)
    assert choose_engine(Timed(clock, 1.0)) == EngineChoice(
        TORCH, "OpenVINO is not installed where the model was trained"
    )


@pytest.mark.parametrize("error", [EngineUnavailable("its maps differ"), RuntimeError("its maps differ\nmore")])
def test_a_model_that_openvino_cannot_compute_or_computes_otherwise_stays_with_torch(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def computed_by(engine: str, detector: Timed, *, ignoring: bool) -> Timed:
        raise error

    monkeypatch.setattr(measurement, "computed_by", computed_by)
    expected = EngineChoice(TORCH, "OpenVINO does not compute it: its maps differ")
    assert choose_engine(Timed(clock, 1.0)) == expected


@pytest.mark.parametrize(
    ("name", "precision", "reason"),
    [("spade", "float32", "spade"), ("padim", "bfloat16", "bfloat16"), ("padim", "float32", None)],
)
def test_an_engine_that_cannot_compute_a_model_is_refused_before_its_fit(
    monkeypatch: pytest.MonkeyPatch, name: str, precision: str, reason: str | None
) -> None:
    what = registry.method(name), registry.settings_of(name, {"precision": precision})
    for engine in (TORCH, AUTO, *(() if reason else (OPENVINO,))):
        refuse_impossible(engine, *what)
    if reason:
        with pytest.raises(
            EngineUnavailable, match=f"'openvino', but {reason} is supported by torch only.*nothing was trained"
        ):
            refuse_impossible(OPENVINO, *what)
    monkeypatch.setattr(measurement, "default_device", lambda: torch.device("cuda"))
    refuse_impossible(OPENVINO, *what)  # a GPU scores by torch, whatever the engine
