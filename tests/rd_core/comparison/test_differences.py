"""Differences against a plain bootstrap, and Holm's correction against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.comparison.differences import differences_from, holm, resample
from rd_core.errors import ConfigError
from rd_core.metrics import image_metrics, ranking
from rd_core.metrics.part_bootstrap import part_draws
from tests.rd_core.comparison.simulated_comparisons import gaussian_scores

LABELS = np.arange(40) % 2 == 1
PARTS = [f"part {n // 2}" for n in range(40)]
SCORES = gaussian_scores(LABELS, {"a": 0.9, "b": 0.8, "c": 0.7}, np.random.default_rng(3), seeds=3)


def plain(metric, resamples: int, seed: int) -> dict[str, np.ndarray]:
    """Medians over drawn seeds, image by image and resample by resample."""
    names, number = np.unique(PARTS, return_inverse=True)
    times = np.concatenate(list(part_draws(len(names), 40, resamples, seed)))
    repeated = [np.repeat(np.arange(40), row[number]) for row in times]
    random = np.random.default_rng([seed, 1])
    drawn = {}
    for name, rows in SCORES.items():
        figures = np.array([[metric(row[i], LABELS[i]) for i in repeated] for row in rows])
        seeds = random.integers(3, size=figures.shape)
        drawn[name] = np.array([np.median(figures[seeds[:, r], r]) for r in range(resamples)])
    return drawn


@pytest.mark.parametrize("name", ["auroc", "average_precision"])
def test_resamples_are_those_of_a_plain_bootstrap(name: str) -> None:
    reference = plain(getattr(image_metrics, f"image_{name}"), 30, 5)
    found = resample(getattr(ranking, name), SCORES, LABELS, PARTS, 30, 5)
    assert np.allclose(found.drawn, list(reference.values()))
    for method, rows in SCORES.items():
        figures = [getattr(image_metrics, f"image_{name}")(row, LABELS) for row in rows]
        assert np.allclose(found.by_seed[method], figures)
        assert found.figures[method] == pytest.approx(np.median(figures))


def test_differences_are_percentiles_of_paired_resamples() -> None:
    drawn = resample(ranking.auroc, SCORES, LABELS, PARTS, 400)
    found = differences_from("b", drawn)
    rows = dict(zip("abc", drawn.drawn, strict=True))
    assert set(found.others) == {"a", "c"}
    for name, other in found.others.items():
        away = rows["b"] - rows[name]
        assert other.interval.value == drawn.figures["b"] - drawn.figures[name]
        assert (other.interval.low, other.interval.high) == pytest.approx(tuple(np.quantile(away, [0.0125, 0.9875])))
    assert (found.figures["a"].low, found.figures["a"].high) == pytest.approx(
        tuple(np.quantile(rows["a"], [0.025, 0.975]))
    )
    assert found.seeds["a"] == drawn.by_seed["a"]


def test_a_method_that_scores_alike_is_no_different() -> None:
    same = {"a": SCORES["a"], "b": 2 * SCORES["a"] + 1}
    alike = differences_from("a", resample(ranking.auroc, {k: v[:1] for k, v in same.items()}, LABELS, PARTS, 200))
    assert alike.others["b"].p_value == 1
    assert (alike.others["b"].interval.low, alike.others["b"].interval.high) == (0, 0)


def test_trainings_that_differ_widen_the_interval() -> None:
    """With one seed each, only other images could have come; with three unlike ones, other trainings too."""
    unlike = {"a": SCORES["a"] * np.array([[1], [1], [-1]]), "b": SCORES["b"]}
    three = differences_from("a", resample(ranking.auroc, unlike, LABELS, PARTS, 400)).others["b"].interval
    one = differences_from("a", resample(ranking.auroc, {k: v[:1] for k, v in unlike.items()}, LABELS, PARTS, 400))
    assert three.high - three.low > 1.5 * (one.others["b"].interval.high - one.others["b"].interval.low)


def test_without_a_label_nothing_is_known() -> None:
    found = differences_from("a", resample(ranking.auroc, SCORES, np.zeros(40, bool), PARTS, 20))
    assert np.isnan(found.figures["a"].value) and np.isnan(found.others["b"].interval.low)
    assert found.others["b"].p_value == 1


def test_no_resamples_are_refused() -> None:
    with pytest.raises(ConfigError, match="0 resamples give no interval"):
        resample(ranking.auroc, SCORES, LABELS, PARTS, 0)


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.001, 0.5))
def test_holm_rejects_what_its_definition_rejects(p_values: list[float], level: float) -> None:
    """From the smallest on, while p_(k) <= level / (m - k)."""
    rejected = set()
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if (len(p_values) - rank) * p_values[place] > level:
            break
        rejected.add(place)
    assert {place for place, p in enumerate(holm(p_values)) if p <= level} == rejected


def test_holm_of_a_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
