"""Promotion and rollback by hand: what they say, what they leave, and their exit codes."""

import getpass
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from flows.cli import app
from proofs.model_cards import publish_made_up
from storage.filesystem import Store
from storage.layout import champion_key
from storage.models import models
from tasks.worker.preprocessing import PREPROCESSING_VERSION

NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)


def put_model(
    store: Store,
    category: str,
    version: str = "v1",
    *,
    champion: bool = True,
    preprocessing: str = PREPROCESSING_VERSION,
) -> None:
    publish_made_up(store, category, version, preprocessing={"version": preprocessing})
    if champion:
        models.promote(store, category, version, by="test", now=NOW)


def call(*arguments: str, code: int = 0) -> str:
    """Run a command in this process; what it printed, on one line."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "300", "TERM": "dumb"}, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def in_force(store: Store) -> str | None:
    champion = models.read_champion(store, "cloth")
    return champion.version if champion else None


@pytest.fixture
def cloth(store: Store) -> Callable[..., str]:
    """A command on the category cloth, that has v1 in force and v2 as a candidate."""
    put_model(store, "cloth", "v1")
    put_model(store, "cloth", "v2", champion=False)

    def run(command: str, *arguments: str, code: int = 0) -> str:
        return call(command, "--store", store.uri, "--category", "cloth", *arguments, code=code)

    return run


def test_a_candidate_is_put_in_force_and_taken_back(store: Store, cloth: Callable[..., str]) -> None:
    said = cloth("promote", "--version", "v2", "--by", "Ada")
    assert "cloth: v2 is in force now, in place of v1. To undo: rd-inspect rollback --category cloth" in said
    assert in_force(store) == "v2"
    said = cloth("rollback", "--by", "Grace")
    assert "v1 is in force now, in place of v2. To undo: rd-inspect promote --category cloth --version v2" in said
    assert in_force(store) == "v1"
    champion = models.read_champion(store, "cloth")
    assert champion is not None
    assert [(one.version, one.by) for one in (champion, *champion.history)] == [
        ("v1", "Grace"),
        ("v2", "Ada"),
        ("v1", "test"),
    ]
    assert abs(champion.since - datetime.now(UTC)).total_seconds() < 60


def test_the_first_model_of_a_category(store: Store) -> None:
    put_model(store, "metal", champion=False)
    said = call("promote", "--store", store.uri, "--category", "metal", "--version", "v1")
    assert "metal: v1 is in force now, the first one." in said
    champion = models.read_champion(store, "metal")
    assert champion is not None
    assert champion.by == getpass.getuser()


def test_promoting_what_is_in_force_changes_nothing_and_says_so(store: Store, cloth: Callable[..., str]) -> None:
    said = cloth("promote", "--version", "v1")
    assert "v1 is in force since 2026-03-03 02:00 UTC by test; nothing was changed" in said


def test_the_history_tells_who_put_which_version_in_force_and_how(store: Store, cloth: Callable[..., str]) -> None:
    cloth("promote", "--version", "v2", "--by", "Ada Lovelace")
    cloth("rollback", "--by", "Grace")
    put_model(store, "metal")
    lines = [
        line.split()
        for line in CliRunner()
        .invoke(app, ["models", "--history", "--store", store.uri], env={"COLUMNS": "300", "TERM": "dumb"})
        .output.splitlines()[1:]
    ]
    assert [(line[0], line[1], " ".join(line[4:])) for line in lines if line] == [
        ("cloth", "v1", "Grace rollback from v2"),
        ("cloth", "v2", "Ada Lovelace promotion"),
        ("cloth", "v1", "test promotion"),
        ("metal", "v1", "test promotion"),
    ]
    assert lines[2][2:4] == [f"{NOW:%Y-%m-%d}", f"{NOW:%H:%M}"]
    asked = ("models", "--history", "--store", store.uri, "--category")
    assert "There is no model of 'paper'" in call(*asked, "paper", code=2)
    store.write(champion_key("metal"), b"{}")
    found = call(*asked, "metal")
    assert "metal" in found and "champion pointer" in found and "No model is in force" not in found
    store.remove(champion_key("metal"))
    assert "No model is in force" in call(*asked, "metal")


def test_by_hand_the_gate_is_overruled_and_its_words_stay_with_the_promotion(
    store: Store, cloth: Callable[..., str]
) -> None:
    words = "The champion stays. promised rate: cannot be shown: 0 of 20 normals alarm, so up to 13.91% may."
    models.publish_decision(store, "cloth", "v2", {"promote": False, "champion": "v1", "words": words})
    kept = f"Compared with v1: {words}"
    said = cloth("promote", "--version", "v2", "--by", "Ada")
    assert f"against which the gate had decided: {kept}" in said
    champion = models.read_champion(store, "cloth")
    assert champion is not None and (champion.version, champion.overruled) == ("v2", kept)
    history = cloth("models", "--history")
    assert "Ada promotion against the gate" in history
    assert f"cloth: v2 was promoted by Ada against the gate: {kept}" in history
    cloth("rollback")
    after = models.read_champion(store, "cloth")
    assert after is not None and after.overruled is None and after.history[0].overruled == kept


def test_a_promotion_that_the_gate_allows_overrules_nothing(store: Store, cloth: Callable[..., str]) -> None:
    models.publish_decision(store, "cloth", "v2", {"promote": True, "champion": "v1", "words": "better in recall"})
    assert "better in recall" not in cloth("promote", "--version", "v2")
    champion = models.read_champion(store, "cloth")
    assert champion is not None and champion.overruled is None
    assert "against the gate" not in cloth("models", "--history")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["promote"], 2, "--version"),
        (["promote", "--version", "v3"], 2, "no model 'v3'; did you mean"),
        (["rollback", "--version", "v9"], 2, "Nothing was changed"),
        (["rollback"], 1, "v1 is the first champion"),
        (["rollback", "--version", "v2"], 1, "v2 of 'cloth' was never in force"),
        (["promote", "--version", "../v1"], 2, "Nothing was changed"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    store: Store, cloth: Callable[..., str], arguments: list[str], code: int, words: str
) -> None:
    assert words in cloth(*arguments, code=code).replace("│ ", "")
    assert in_force(store) == "v1"


def test_damaged_weights_are_refused(store: Store, cloth: Callable[..., str]) -> None:
    store.write("models/cloth/v2/weights.safetensors", b"cut")
    assert "has 3 bytes" in cloth("promote", "--version", "v2", code=1)
    assert in_force(store) == "v1"


def test_where_nobody_is_logged_in_a_name_is_asked_for(
    cloth: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1001")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert "Give --by NAME" in cloth("promote", "--version", "v2", code=2)
    assert "in force now" in cloth("promote", "--version", "v2", "--by", "Ada")


def test_a_store_that_is_not_there_is_wrong_use(tmp_path: object) -> None:
    assert "nowhere" in call("rollback", "--store", f"{tmp_path}/nowhere", "--category", "cloth", code=2)


def test_a_model_of_another_preprocessing_never_comes_into_force(store: Store, cloth: Callable[..., str]) -> None:
    """Its threshold is of other pixels, so that the night would fail."""
    put_model(store, "cloth", "v0", preprocessing="older-1")
    models.promote(store, "cloth", "v1", by="test", now=NOW)
    for command in (("promote", "--version", "v0"), ("rollback", "--version", "v0"), ("rollback",)):
        said = cloth(*command, code=2)
        assert "v0 of cloth was made with the preprocessing 'older-1'" in said
        assert "Train again: rd-inspect train --category cloth --promote Nothing was changed." in said
        assert in_force(store) == "v1"
