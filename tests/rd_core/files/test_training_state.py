"""A training that is interrupted and goes on ends in the very weights it would have had."""

from dataclasses import replace

import pytest

from rd_core.detectors.checkpoint import to_bytes
from rd_core.detectors.reverse_distillation.descent import Sources, StudentDescent
from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.training import Fitted
from rd_core.errors import CheckpointError
from rd_core.files.tensor_file import header_of
from rd_core.files.training_state import Resumption, TrainingState
from tests.rd_core.small_trainings import fit, small
from tests.rd_core.striped_images import textured

SETTINGS = small(steps=8, batch_size=4, validate_every=2, mirrored_below=0)
TRAIN, EARLY_STOP = textured(8), textured(2, seed=1)


def with_training(**changes: object) -> ReverseDistillationSettings:
    return replace(SETTINGS, training=replace(SETTINGS.training, **changes))


class Killed(Exception):
    """Stands for the end of the process."""


def trained(
    settings: ReverseDistillationSettings = SETTINGS,
    resumption: Resumption | None = None,
    stop: int = 99,
) -> Fitted:
    """Killed before step `stop`."""

    def on_step(progress) -> None:
        if progress.phase == "steps" and progress.done >= stop:
            raise Killed

    return fit(settings, TRAIN, EARLY_STOP, resumption=resumption, on_step=on_step)


def states_of(settings: ReverseDistillationSettings = SETTINGS, *, apart: float = 0, stop: int = 99) -> list:
    kept: list[bytes] = []
    if stop < 99:
        with pytest.raises(Killed):
            trained(settings, Resumption(None, kept.append, apart), stop)
    else:
        trained(settings, Resumption(None, kept.append, apart))
    return kept


@pytest.fixture(scope="module")
def state() -> bytes:
    """What a training left that was killed before its third step."""
    return states_of(stop=3)[-1]


def validations(result: Fitted) -> list[tuple]:
    return [
        (validation["step"], validation["train_loss"], validation["validation_loss"])
        for validation in result.report.figures["history"]
    ]


@pytest.mark.parametrize(
    ("changes", "stop", "stopped_by"),
    [
        ({"mirrored_below": 100}, 7, "steps"),
        ({"keep": "last", "pseudo_anomalies": 0, "optimiser": "adam", "schedule": "constant"}, 3, "steps"),
        # Killed between the best validation and the end.
        ({"steps": 40, "validate_every": 1, "patience": 2, "learning_rate": 1e-12, "warm_up": 0.0}, 8, "patience"),
    ],
    ids=["mirrored", "like the paper's", "patience"],
)
def test_whenever_it_is_killed_the_weights_are_those_of_a_training_that_was_not(changes, stop, stopped_by) -> None:
    settings = with_training(**changes)
    whole = trained(settings)
    again = trained(settings, Resumption(states_of(settings, stop=stop)[-1], lambda _: None))
    assert to_bytes(again.detector) == to_bytes(whole.detector)
    assert validations(again) == validations(whole)
    assert whole.report.figures["stopped_by"] == stopped_by
    for figure in ("steps", "best_step", "stopped_by"):
        assert again.report.figures[figure] == whole.report.figures[figure]


def test_it_goes_on_from_the_last_state_and_not_from_the_first_step(state) -> None:
    seen: list[int] = []
    fit(
        SETTINGS,
        TRAIN,
        EARLY_STOP,
        resumption=Resumption(state, lambda _: None),
        on_step=lambda progress: seen.append(progress.done) if progress.phase == "steps" else None,
    )
    assert seen == [3, 4, 5, 6, 7, 8]


def test_the_state_after_the_last_step_is_enough() -> None:
    states: list[bytes] = []
    whole = trained(resumption=Resumption(None, states.append, 0))
    assert len(states) == 4  # one a validation
    again = trained(resumption=Resumption(states[-1], lambda _: None))
    assert to_bytes(again.detector) == to_bytes(whole.detector)


def test_time_that_was_spent_counts(state) -> None:
    settings = with_training(seconds=1000.0)
    with pytest.raises(CheckpointError, match="other settings"):  # a budget is a setting
        trained(settings, Resumption(state, lambda _: None))
    spent = trained(resumption=Resumption(state, lambda _: None)).report.figures["history"]
    assert [validation["seconds"] for validation in spent] == sorted(validation["seconds"] for validation in spent)


def test_states_lie_apart() -> None:
    assert states_of(apart=3600) == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda state: state[:-5], "damaged"),
        (lambda state: state[:-5] + bytes([state[-5] ^ 1]) + state[-4:], "SHA-256 differs"),
        (lambda _: b"no state at all", "not a model of this program"),
    ],
    ids=["cut off", "a bit changed", "something else"],
)
def test_a_damaged_state_is_refused_before_any_work(state, damage, words) -> None:
    damaged = Resumption(damage(state), lambda _: None)
    with pytest.raises(CheckpointError, match=words):
        fit(SETTINGS, TRAIN, EARLY_STOP, resumption=damaged, on_step=_never)


def test_the_state_of_another_training_is_refused_before_any_work(small_config, state) -> None:
    other = Resumption(state, lambda _: None)
    for settings, train in ((replace(SETTINGS, seed=1), TRAIN), (SETTINGS, textured(9))):
        with pytest.raises(CheckpointError, match="other settings or images"):
            fit(settings, train, EARLY_STOP, resumption=other, on_step=_never)
    model = ReverseDistillation.build(small_config, pretrained=False)
    with pytest.raises(CheckpointError, match="other settings or images"):
        fit(SETTINGS, TRAIN, EARLY_STOP, resumption=Resumption(to_bytes(model), lambda _: None))


def test_moments_get_their_weights_memory_layout_back(small_config, state) -> None:
    """Fused steps go through memory, whatever the strides say."""
    run = StudentDescent(
        ReverseDistillation.build(small_config, pretrained=False), SETTINGS, Sources([], [], [], []), lambda _: None
    )
    run.restore(TrainingState.from_bytes(state, header_of(state)["training"]))
    moments = {weight: kept["exp_avg"] for weight, kept in run.optimiser.state.items()}
    assert {weight: kept.stride() for weight, kept in moments.items()} == {w: w.stride() for w in moments}
    assert any(not weight.is_contiguous() for weight in moments)


def _never(_: object) -> None:
    raise AssertionError("work was begun")
