import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.errors import ConfigError
from rd_core.metrics.image_metrics import image_auroc
from rd_core.metrics.paired_bootstrap import mean_difference, metric_difference
from rd_core.metrics.part_bootstrap import part_draws
from rd_core.metrics.ranking import auroc
from tests.examples import examples


def two_models(seed, parts=30, each=3, gain=0.5):
    """Scores of two models that share most of what is hard, every other part anomalous."""
    random = np.random.default_rng(seed)
    part = np.repeat(np.arange(parts), each)
    labels = part % 2 == 1
    shared = random.normal(size=parts)[part] + random.normal(size=len(part))
    before, after = (shared + random.normal(0, 0.3, len(part)) + (1.5 + more) * labels for more in (0, gain))
    return before, after, labels, [f"p{p}" for p in part]


def test_both_models_see_the_same_resamples():
    """The same draws, with every image written out as often as its part was drawn."""
    before, after, labels, parts = two_models(0)
    difference = metric_difference(auroc, before, after, labels, parts, resamples=80, confidence=0.9)
    names, part = np.unique(parts, return_inverse=True)
    draws = np.concatenate(list(part_draws(len(names), len(part), 80, 0)))
    drawn = [np.repeat(np.arange(len(part)), times[part]) for times in draws]
    values = [image_auroc(after[i], labels[i]) - image_auroc(before[i], labels[i]) for i in drawn]
    assert (difference.before, difference.after) == (image_auroc(before, labels), image_auroc(after, labels))
    assert difference.value == difference.after - difference.before
    assert (difference.low, difference.high) == pytest.approx(tuple(np.quantile(values, [0.1, 0.9])))

    means = mean_difference(before, after, parts, resamples=80, confidence=0.9)
    values = [(after[i] - before[i]).mean() for i in drawn]
    assert (means.before, means.after) == pytest.approx((before.mean(), after.mean()))
    assert (means.low, means.high) == pytest.approx(tuple(np.quantile(values, [0.1, 0.9])))


@examples(25)
@given(st.integers(0, 2**32))
def test_swapping_the_models_turns_the_bounds_around(seed):
    before, after, labels, parts = two_models(seed, parts=8)
    there = metric_difference(auroc, before, after, labels, parts, resamples=100)
    back = metric_difference(auroc, after, before, labels, parts, resamples=100)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    same = metric_difference(auroc, before, before, labels, parts, resamples=100)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_the_bound_holds_as_often_as_it_says():
    """The mean of differences of parts whose truth is 0."""
    held = []
    for seed in range(400):
        random = np.random.default_rng(seed)
        parts = np.repeat(np.arange(40), 3)
        gains = random.normal(size=40)[parts] + 0.2 * random.normal(size=120)
        names = [str(p) for p in parts]
        held.append(mean_difference(np.zeros(120), gains, names, resamples=200, seed=seed).low <= 0)
    assert np.mean(held) == pytest.approx(0.95, abs=0.035)


def test_a_part_weighs_as_much_as_it_has_cases():
    difference = mean_difference([0, 0, 0, 0], [1, 1, 1, 0], ["a", "a", "a", "b"], resamples=200)
    assert difference.value == 0.75
    assert difference.high == 1


def test_resamples_without_anomalous_images_are_left_out():
    difference = metric_difference(auroc, [1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [False, False, True], ["a", "b", "c"])
    assert not np.isnan([difference.low, difference.high]).any()
    alone = metric_difference(auroc, [1.0, 2.0], [1.0, 2.0], [False, False], ["a", "b"])
    assert np.isnan([alone.value, alone.low]).all()


def test_inputs_that_cannot_be_are_refused():
    before, after, labels, parts = two_models(1)
    with pytest.raises(ValueError, match="do not match"):
        metric_difference(auroc, before, after[:-1], labels, parts)
    with pytest.raises(ValueError, match="show 1 part"):
        mean_difference(before, after, ["a"] * len(before))
    with pytest.raises(ConfigError, match="0 resamples"):
        mean_difference(before, after, parts, resamples=0)
    for confidence in (0, 1, 95, float("nan")):
        with pytest.raises(ConfigError, match="confidence"):
            mean_difference(before, after, parts, confidence=confidence)
