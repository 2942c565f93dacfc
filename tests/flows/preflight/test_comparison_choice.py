"""What can be compared is known before anything is started."""

import pytest
from typer.testing import CliRunner

from flows.category_settings import CategorySettings
from flows.cli import app
from flows.preflight.comparison_choice import contenders_of
from flows.settings import PlantSettings, Settings, SettingsError
from rd_core.detectors.registry import METHODS, method, settings_class, settings_of
from storage.filesystem import Store
from tests.comparison_plants import put_compared


def settings(**of_category: object) -> Settings:
    own = CategorySettings.model_validate(of_category)
    return Settings(store="plant", plant=PlantSettings(), defaults=own, categories={})


def test_every_method_with_its_seeds_is_a_contender() -> None:
    contenders, left_out = contenders_of(settings(seed=3), "cloth", None, 2)
    assert [(one.method, one.seed) for one in contenders] == [(name, seed) for name in METHODS for seed in (3, 4)]
    assert left_out == {}
    assert all(settings_of(one.method, one.to_dict()) == one for one in contenders)  # as a plan keeps them
    assert len(contenders_of(settings(), "cloth", ["padim", "spade", "padim"], 1)[0]) == 2


def test_what_the_settings_forbid_is_left_out_in_words() -> None:
    contenders, left_out = contenders_of(settings(method="auto", tile=64, image_size=128), "cloth", None, 1)
    assert set(left_out) == {name for name in METHODS if settings_class(name).knows_places}
    assert "padim keeps what is normal at each place" in left_out["padim"]
    assert {one.method for one in contenders} == METHODS.keys() - left_out.keys()
    wrong = settings(tables={"patchcore": {"neighbours": 0}})
    assert "neighbours = 0" in contenders_of(wrong, "cloth", None, 1)[1]["patchcore"]


def test_a_method_that_no_training_would_take_is_not_compared() -> None:
    contenders, left_out = contenders_of(settings(method="auto", calibration="cross"), "cloth", None, 1)
    assert {one.method for one in contenders} == {name for name in METHODS if settings_class(name).cross_fits}
    assert "fyd does not cross-fit, which calibration = 'cross' of 'cloth' asks for" in left_out["fyd"]
    contenders, left_out = contenders_of(settings(engine="openvino"), "cloth", None, 1)
    assert {one.method for one in contenders} == {name for name in METHODS if method(name).exportable}
    assert "mkd is supported by torch only" in left_out["mkd"]


@pytest.mark.parametrize(
    ("methods", "seeds", "said"),
    [
        (["padimm", "spade"], 1, "did you mean 'padim'.* Known: .*spade"),
        (["padim", "padim"], 1, "padim alone can be compared, .* Name another with --method"),
        (["padim", "spade"], 11, "seeds = 11 is not in"),
    ],
)
def test_what_is_no_comparison_is_refused(methods: list[str], seeds: int, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        contenders_of(settings(), "cloth", methods, seeds)


def test_the_command_refuses_before_anything_is_started(store: Store) -> None:
    put_compared(store, normals=9, good=0, bad=0)
    arguments = ["compare", "--category", "cloth", "--store", store.uri]
    told = CliRunner().invoke(app, [*arguments, "--method", "padim"])
    assert told.exit_code == 2 and "two methods or more" in told.output
    assert list(store.list("comparisons/")) == []
