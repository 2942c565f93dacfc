"""Which normals train contenders, and which judge them."""

import pytest

from rd_core.comparison.halves import FEWEST_PARTS
from rd_core.errors import TooFewNormals
from tasks.comparison.judged_choice import ComparedNormals, divide_normals

MANY = [f"t{part:03}-{view}" for part in range(150) for view in range(2)]


def divided(training: list[str], evaluation: list[str]) -> ComparedNormals:
    return divide_normals(training, evaluation, {key: key.split("-")[0] for key in [*training, *evaluation]}, seed=0)


def parts(keys: tuple[str, ...]) -> set[str]:
    return {key.split("-")[0] for key in keys}


def test_no_part_is_on_two_sides_and_none_that_judges_trains() -> None:
    evaluation = [f"e{part:03}-0" for part in range(2 * FEWEST_PARTS)]
    normals = divided([*MANY, "e000-1"], evaluation)
    sets = [parts(normals.keys(name)) for name in ("train", "early_stop", "calibration")]
    assert sum(map(len, sets)) == len(set.union(*sets)) == 150
    assert normals.keys("test") == () and normals.left_out == 1
    assert not set.union(*sets) & parts(tuple(evaluation))


@pytest.mark.parametrize(("labelled", "apart"), [(0, 2 * FEWEST_PARTS), (FEWEST_PARTS, FEWEST_PARTS)])
def test_too_few_for_evaluation_are_joined_by_training_normals(labelled: int, apart: int) -> None:
    normals = divided(MANY, [f"e{part:03}-0" for part in range(labelled)])
    assert len(parts(normals.keys("test"))) == pytest.approx(apart, abs=1)
    assert not parts(normals.keys("test")) & parts(normals.keys("train"))


def test_no_more_than_a_third_of_few_normals_judge() -> None:
    normals = divided(MANY[:60], [])
    assert len(parts(normals.keys("test"))) == 10
    with pytest.raises(TooFewNormals):
        divided(MANY[:6], [])
