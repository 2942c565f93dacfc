"""Thresholds from unlabelled scores: defects do not raise them, normal images do not lower them."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proofs.score_laws import LAWS
from rd_core.calibration.threshold import calibrate
from rd_core.calibration.unlabelled import calibrate_unlabelled, fewest_scores
from rd_core.errors import ConfigError, TooFewNormals
from tests.examples import FINITE, examples


def trials(name: str, defects: int, kind: str, *, alpha: float = 0.01, n: int = 1000, count: int = 12) -> list[float]:
    """False-alarm rates, and recalls, after a change of light."""
    random, law = np.random.default_rng(0), LAWS[name]
    rates, recalls = [], []
    for _ in range(count):
        reference = law.draw(random, 200)
        bad = getattr(law, kind)(random, defects)
        scores = 1.3 * np.r_[law.draw(random, n - defects), bad] + 0.2 * law.median
        threshold = calibrate_unlabelled(scores, alpha, reference=reference).threshold.value
        own = (threshold - 0.2 * law.median) / 1.3
        rates.append(law.above(np.array(own)))
        recalls.append(np.mean(bad > own) if defects else 1.0)
    return [float(np.mean(rates)), float(np.mean(recalls))]


@pytest.mark.parametrize("name", LAWS)
def test_without_defects_the_false_alarm_rate_keeps_near_its_promise(name: str) -> None:
    rate, _ = trials(name, 0, "clear")
    assert 0.005 < rate < 0.016


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("defects", [10, 50, 100])
def test_defects_that_stand_out_are_found_by_the_new_threshold(name: str, defects: int) -> None:
    rate, recall = trials(name, defects, "clear")
    assert rate < 0.016
    assert recall > 0.85


def test_faint_defects_raise_the_threshold_and_never_the_false_alarms() -> None:
    for name in LAWS:
        assert trials(name, 50, "faint")[0] < 0.016


def test_no_more_is_left_out_than_the_share() -> None:
    random = np.random.default_rng(2)
    scores = np.r_[random.gamma(4, size=800), np.full(200, 60.0)]
    found = calibrate_unlabelled(scores, 0.05, reference=random.gamma(4, size=400), most=0.03)
    assert (found.left_out, found.defects, found.withstands) == (30, 0.03, 0.03)
    none = calibrate_unlabelled(scores, 0.05, reference=random.gamma(4, size=400), most=0)
    assert none.threshold == calibrate(scores, 0.05)


def test_a_share_left_out_is_about_that_of_the_defects() -> None:
    random, law = np.random.default_rng(4), LAWS["normal"]
    scores = np.r_[law.draw(random, 1900), law.clear(random, 100)]
    found = calibrate_unlabelled(scores, 0.01, reference=law.draw(random, 400))
    assert found.defects == pytest.approx(0.05, abs=0.01)


def test_the_scores_alone_tell_clear_defects_where_the_reference_is_too_small_to() -> None:
    random, law = np.random.default_rng(5), LAWS["heavy"]
    scores = np.r_[law.draw(random, 990), law.clear(random, 10)]
    found = calibrate_unlabelled(scores, 0.01, reference=law.draw(random, 10))
    assert 9 <= found.left_out <= 12


def test_what_is_left_out_sharpens_the_next_guess() -> None:
    random, law = np.random.default_rng(0), LAWS["bounded"]
    scores = np.r_[law.draw(random, 900), law.clear(random, 100)]
    assert calibrate_unlabelled(scores, 0.01, reference=law.draw(random, 200)).left_out > 85


@given(st.integers(0, 1000), st.sampled_from([2.0**-40, 2.0**200]), st.floats(0, 2))
@examples(20)
def test_the_scale_of_scores_changes_nothing(seed: int, unit: float, shift: float) -> None:
    """Neither that of the reference nor that of the scores."""
    random = np.random.default_rng(seed)
    scores, reference = random.gamma(4, size=200), random.gamma(4, size=50)
    one = calibrate_unlabelled(scores, 0.02, reference=reference)
    other = calibrate_unlabelled(unit * (scores + shift), 0.02, reference=reference * unit)
    assert one.left_out == other.left_out
    assert other.threshold.value == pytest.approx(unit * (one.threshold.value + shift))


@given(st.lists(FINITE, min_size=40, max_size=60), st.lists(FINITE, min_size=10, max_size=20))
@example([0.0] * 39 + [5e-324], [1.7e308, -1.7e308] * 5)
@example([3.0] * 40, [3.0] * 10)
def test_any_finite_scores_have_a_threshold(scores: list[float], reference: list[float]) -> None:
    found = calibrate_unlabelled(scores, 0.05, reference=reference)
    assert 0 <= found.left_out <= len(scores) // 10
    assert found.threshold.n == len(scores) - found.left_out


def test_a_reference_without_spread_is_only_moved() -> None:
    assert calibrate_unlabelled(np.full(40, 5.0), 0.1, reference=np.full(20, 3.0)).threshold.value == 5


def test_too_few_are_refused_with_what_is_needed() -> None:
    assert (fewest_scores(0.01), fewest_scores(0.05), fewest_scores(0.5)) == (200, 40, 20)
    with pytest.raises(TooFewNormals, match=r"199 unlabelled scores .* at least 200"):
        calibrate_unlabelled(np.arange(199.0), 0.01, reference=np.arange(10.0))
    with pytest.raises(TooFewNormals, match=r"9 held-out ones .* 10 held-out"):
        calibrate_unlabelled(np.arange(200.0), 0.01, reference=np.arange(9.0))
    with pytest.raises(ConfigError, match="alpha 2"):
        calibrate_unlabelled(np.arange(200.0), 2, reference=np.arange(10.0))
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        calibrate_unlabelled([1.0, np.nan], 0.01, reference=np.arange(10.0))
