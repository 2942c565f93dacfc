import numpy as np
import pytest

from rd_core.errors import ConfigError
from rd_core.metrics.image_metrics import image_auroc, image_average_precision
from rd_core.metrics.intervals import Interval
from rd_core.metrics.part_bootstrap import part_bootstrap, part_draws
from rd_core.metrics.ranking import auroc, average_precision


def images(seed, parts=40, each=5, digits=9):
    """Parts with an offset of their own, every other part anomalous."""
    random = np.random.default_rng(seed)
    part = np.repeat(np.arange(parts), each)
    labels = part % 2 == 1
    scores = random.normal(size=parts)[part] + 0.3 * random.normal(size=len(part)) + labels
    order = random.permutation(len(part))
    return np.round(scores, digits)[order], labels[order], [f"p{p}" for p in part[order]]


@pytest.mark.parametrize("digits", [9, 0])
@pytest.mark.parametrize(
    ("metric", "plain"),
    [(auroc, image_auroc), (average_precision, image_average_precision)],
)
def test_a_resample_is_the_images_of_the_parts_drawn(metric, plain, digits):
    """The same draws, with every image written out as often as its part was drawn."""
    scores, labels, parts = images(0, digits=digits)
    interval = part_bootstrap(metric, scores, labels, parts, resamples=60)
    names, part = np.unique(parts, return_inverse=True)
    values = []
    for times in np.concatenate(list(part_draws(len(names), len(scores), 60, 0))):
        drawn = np.repeat(np.arange(len(scores)), times[part])
        values.append(plain(scores[drawn], labels[drawn]))
    assert interval.value == pytest.approx(plain(scores, labels))
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def test_as_many_parts_are_drawn_as_there_are_each_as_often_as_another():
    draws = np.concatenate(list(part_draws(7, 100_000, 3000, 0)))
    assert draws.shape == (3000, 7)
    assert (draws.sum(axis=1) == 7).all()
    np.testing.assert_allclose(draws.mean(axis=0), 1, atol=0.1)
    assert draws.var() == pytest.approx(6 / 7, abs=0.05)


def test_it_covers_the_truth_where_taking_images_as_independent_does_not():
    truth = 0.751  # Phi(1 / sqrt(2 * 1.09))
    covered = {"parts": [], "images": []}
    for seed in range(80):
        scores, labels, parts = images(seed, parts=60)
        for by, names in (("parts", parts), ("images", [str(i) for i in range(len(parts))])):
            interval = part_bootstrap(auroc, scores, labels, names, resamples=150)
            covered[by].append(interval.low <= truth <= interval.high)
    assert np.mean(covered["parts"]) > 0.85
    assert np.mean(covered["images"]) < 0.7


def test_the_seed_alone_decides():
    sample = images(1)
    assert part_bootstrap(auroc, *sample) == part_bootstrap(auroc, *sample)
    assert part_bootstrap(auroc, *sample) != part_bootstrap(auroc, *sample, seed=1)


def test_resamples_without_anomalous_images_are_left_out():
    interval = part_bootstrap(auroc, [1.0, 2.0, 3.0], [False, False, True], ["a", "b", "c"])
    assert interval == Interval(1.0, 1.0, 1.0)
    alone = part_bootstrap(auroc, [1.0, 2.0], [False, False], ["a", "b"])
    assert np.isnan([alone.value, alone.low, alone.high]).all()


def test_inputs_that_cannot_be_are_refused():
    scores, labels, parts = images(3)
    with pytest.raises(ValueError, match="show 1 part"):
        part_bootstrap(auroc, scores, labels, ["a"] * len(scores))
    with pytest.raises(ValueError, match="3 parts do not match"):
        part_bootstrap(auroc, scores, labels, parts[:3])
    with pytest.raises(ConfigError, match="0 resamples"):
        part_bootstrap(auroc, scores, labels, parts, resamples=0)
