import numpy as np

from rd_core.drift.false_discovery import discoveries


def stepwise(p_values, rate):
    """Benjamini and Hochberg's rule, as they wrote it."""
    ordered = sorted(p_values.values())
    largest = max((p for i, p in enumerate(ordered, 1) if p <= rate * i / len(ordered)), default=-1.0)
    return {name: p <= largest for name, p in p_values.items()}


def test_the_rule_is_benjamini_and_hochbergs():
    random = np.random.default_rng(0)
    for _ in range(200):
        drawn = {f"c{i}": float(p) for i, p in enumerate(random.beta(0.5, 2, random.integers(1, 12)))}
        assert discoveries(drawn, 0.1) == stepwise(drawn, 0.1)


def test_one_small_p_value_among_many_may_be_chance():
    assert discoveries({"lone": 0.03})["lone"]
    assert not discoveries({"lone": 0.03, **{f"c{i}": 0.5 for i in range(20)}})["lone"]


def test_no_category_no_discovery():
    assert discoveries({}) == {}
