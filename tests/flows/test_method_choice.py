"""`method = "auto"`: one comparison chooses, trainings keep the choice, and the card says why."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from prefect.logging import disable_run_logger

from flows import comparison, method_promotion
from flows.commands.tables.plant import models_table
from flows.commands.tables.training import training_table
from flows.comparison import NoneCompared, choose_method, compare_contenders
from flows.method_promotion import promote_method
from flows.preflight import comparison_choice
from flows.settings import Settings, SettingsError, load_settings
from flows.training import train_model
from flows.training_request import retraining_request, training_request
from rd_core.detectors.registry import METHODS
from storage.comparisons.outcome import ComparisonOutcome, outcomes, write_outcome
from storage.filesystem import Store
from storage.models import models
from storage.models.card import MethodChoice
from tasks.comparison.plan_comparison import NotCompared
from tests.comparison_plants import QUICK, put_compared, quick_order
from tests.factories import NOW, write_settings

OUTCOME = ComparisonOutcome(
    "cloth", "c0", "padim", 0, "padim is named.", False, False, True, ("d",), (), {}, "r", "run", NOW
)


def put_plant(store: Store, judges: int = 0) -> Settings:
    put_compared(store, good=judges, bad=judges)
    write_settings(store, image_size=64, alpha=0.1, method="auto", padim={"dimensions": 20})
    return load_settings(store.uri)


def chosen(settings: Settings) -> tuple[str, MethodChoice]:
    with disable_run_logger():
        return choose_method(settings, "cloth", "run")


def test_a_whole_comparison_of_all_methods_is_kept_and_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, made = put_plant(store), []
    monkeypatch.setattr(
        comparison, "compare_category", lambda *_, **__: made.append(1) or replace(OUTCOME, method="spade", id="new")
    )
    write_outcome(store, replace(OUTCOME, every_method=False))
    assert chosen(settings) == ("spade", MethodChoice("new", "padim is named."))
    assert len(made) == 1
    write_outcome(store, replace(OUTCOME, failed=("spade, seed 0: no memory",)))  # it would fail again, for hours
    told = "padim is named. Out of the contest, because they failed: spade, seed 0: no memory."
    assert chosen(settings) == ("padim", MethodChoice("c0", told))
    write_outcome(store, OUTCOME)
    assert chosen(settings) == ("padim", MethodChoice("c0", "padim is named."))
    write_outcome(store, replace(OUTCOME, id="c1", made_at=NOW.replace(hour=7), method=None, sentence="Too few."))
    assert chosen(settings) == (
        "reverse_distillation", MethodChoice("c1", "reverse_distillation, the default. Too few."),
    )  # fmt: skip
    assert len(made) == 1


def test_a_comparison_of_other_settings_does_not_name_what_these_refuse(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_plant(store)
    settings = load_settings(store.uri, options={"calibration": "cross"})
    monkeypatch.setattr(comparison, "compare_category", lambda *_, **__: replace(OUTCOME, method="spade", id="new"))
    write_outcome(store, replace(OUTCOME, method="mkd"))
    assert chosen(settings)[0] == "spade"
    write_outcome(store, replace(OUTCOME, id="c1"))
    assert chosen(settings)[0] == "padim"


def test_where_none_can_be_compared_the_default_is_taken(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise NoneCompared("cloth: 4 normal images are too few.")

    monkeypatch.setattr(comparison, "compare_category", fail)
    method, choice = chosen(put_plant(store))
    assert (method, choice.comparison) == ("reverse_distillation", None)
    assert choice.sentence.endswith("4 normal images are too few.")


@pytest.mark.usefixtures("prefect_api")
def test_too_few_labels_make_no_run_fail(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    put_plant(store, judges=5)
    order = replace(quick_order(store), to_choose=True)
    state = compare_contenders(store.uri, store.uri, order, "run", return_state=True)
    assert state.is_completed() and state.result() == NotCompared(state.result().why)
    assert state.result().why.endswith("Label 17 more with normal and 27 more with anomalous images for evaluation.")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_train_compares_takes_the_named_method_and_a_retraining_keeps_it(
    store: Store, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = put_plant(store, judges=36)
    monkeypatch.setattr(comparison_choice, "METHODS", {name: METHODS[name] for name in QUICK})
    run = train_model(store.uri, ["cloth"], dask_address=scheduler)
    (outcome,) = outcomes(store, "cloth")
    card = models.champion_card(store, "cloth")
    assert card is not None and card.method.name == outcome.method and outcome.method in QUICK
    assert card.method.choice == MethodChoice(outcome.id, outcome.sentence)
    notes = " ".join(training_table(run, store.uri).notes)
    assert (
        f"method: {outcome.sentence} It stays until you compare again (rd-inspect compare --category cloth)" in notes
    )
    assert f"cloth {card.version}: {outcome.sentence}" in models_table(store.uri, None).notes
    write_outcome(store, replace(OUTCOME, id="c1", method="spade"))
    again = retraining_request(settings, "cloth")
    assert (again.settings.method, again.method_choice) == (outcome.method, card.method.choice)
    assert retraining_request(settings, "other").settings.method == "reverse_distillation"


def test_a_model_that_another_champion_forestalled_is_not_said_to_be_in_force(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = put_plant(store)
    made = SimpleNamespace(version="v2", champion=False)  # as of a training that found a champion at its end
    future = SimpleNamespace(result=lambda: made)
    monkeypatch.setattr(method_promotion, "fit_model", SimpleNamespace(submit=lambda *_, **__: future))
    found = promote_method.fn(settings, training_request(settings, "cloth"), None, "run")
    assert not found.promoted and found.version == "v2" and "another became champion meanwhile" in found.words


def test_a_setting_of_one_method_needs_its_name(store: Store) -> None:
    put_plant(store)
    settings = load_settings(store.uri, options={"steps": 5})
    with pytest.raises(SettingsError, match=r"the method of 'cloth' is auto.*--method"):
        training_request(settings, "cloth")
    tiled = load_settings(store.uri, options={"tile": 64, "image_size": 128})
    assert tiled.category("cloth").method == "auto"
