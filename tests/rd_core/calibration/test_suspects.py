"""Wrong labels among normals: clear ones are found, heavy tails are not taken for them."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proofs.score_laws import LAWS
from rd_core.calibration.suspects import suspicious
from tests.examples import FINITE, examples


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("n", [12, 40, 400])
def test_hardly_any_normal_is_set_aside(name: str, n: int) -> None:
    random = np.random.default_rng(0)
    found = np.array([len(suspicious(LAWS[name].draw(random, n)).numbers) for _ in range(120)])
    assert found.mean() / n <= 0.005
    assert np.mean(found > 1) <= 0.05


@pytest.mark.parametrize("name", ["lognormal", "heavy", "mixture"])
@pytest.mark.parametrize(("n", "defects"), [(20, 1), (40, 4), (100, 2), (100, 10), (400, 20)])
def test_most_defects_that_stand_out_are_set_aside(name: str, n: int, defects: int) -> None:
    """Several do not hide each other."""
    random, law = np.random.default_rng(0), LAWS[name]
    found = []
    for _ in range(40):
        scores = np.concatenate([law.clear(random, defects), law.draw(random, n - defects)])
        found.append(np.count_nonzero(np.array(suspicious(scores).numbers) < defects) / defects)
    assert np.mean(found) > 0.5


def test_defects_far_away_are_found_and_nothing_else() -> None:
    scores = np.concatenate([np.random.default_rng(0).normal(10, 1, 95), [30, 31, 60, 200, 1e6]])
    result = suspicious(scores)
    assert result.numbers == (99, 98, 97, 96, 95)
    assert result.more == 0
    assert scores[:95].max() < result.level < 30
    assert (result.z[95:] > 3.5).all()


def test_no_more_than_the_share_is_set_aside_and_the_rest_is_told() -> None:
    scores = np.concatenate([np.random.default_rng(0).normal(10, 1, 85), np.linspace(100, 114, 15)])
    result = suspicious(scores)
    assert result.numbers == tuple(range(99, 89, -1))
    assert result.more == 5
    fewer = suspicious(scores, most=0.03)
    assert (fewer.numbers, fewer.more) == ((99, 98, 97), 12)


def test_a_level_alone_does_not_make_a_suspect() -> None:
    """Scores of a wide law lie far above the middle, but not by an unusual factor."""
    scores = np.random.default_rng(3).lognormal(0, 1, 100)
    result = suspicious(scores)
    assert np.count_nonzero(scores > result.level) > len(result.numbers)


def test_scores_that_each_dwarf_the_next_are_not_all_left_out() -> None:
    scores = 10.0 ** np.arange(20)
    assert suspicious(scores).numbers == ()
    assert np.count_nonzero(scores > suspicious(scores).level) < 10


@given(st.lists(st.integers(1, 1000), min_size=8, max_size=60), st.sampled_from([2.0**-60, 2.0, 2.0**300]))
@examples(30)
def test_a_unit_of_scores_changes_nothing(values: list[int], unit: float) -> None:
    scores = np.array(values, float)
    assert suspicious(scores * unit).numbers == suspicious(scores).numbers


@given(st.lists(st.integers(1, 1000), min_size=8, max_size=60))
@examples(30)
def test_the_order_of_images_changes_nothing(values: list[int]) -> None:
    scores = np.array(values, float)
    mixed = np.random.default_rng(0).permutation(scores)
    assert [mixed[i] for i in suspicious(mixed).numbers] == [scores[i] for i in suspicious(scores).numbers]


@given(st.lists(FINITE, max_size=40))
@example([0.0] * 20 + [5e-324])
@example([1.7e308, -1.7e308, *[0.0] * 10])
def test_any_finite_scores_have_an_answer(values: list[float]) -> None:
    result = suspicious(values)
    assert len(result.numbers) <= max(1, len(values) // 10)
    assert all(values[number] > result.level for number in result.numbers)


def test_equal_scores_and_few_are_not_suspects() -> None:
    assert suspicious([2.0] * 30).numbers == ()
    assert suspicious([2.0] * 29 + [3.0]).numbers == ()
    assert suspicious([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 100.0]).numbers == ()
    assert suspicious([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 100.0]).numbers == (7,)


def test_scores_without_a_rank_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 9 values are not finite"):
        suspicious([1.0] * 8 + [np.nan])
