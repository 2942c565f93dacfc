"""Who is named: no false winner more often than promised, a truly better one found, else the cheapest not worse."""

from dataclasses import replace

import numpy as np
import pytest

from rd_core.comparison.contender import Cost
from rd_core.comparison.differences import Difference, Differences, differences_from, resample
from rd_core.comparison.halves import FEWEST_PARTS
from rd_core.comparison.winner import Choice, choose
from rd_core.metrics import ranking
from rd_core.metrics.intervals import Interval
from tests.rd_core.comparison.simulated_comparisons import COST, gaussian_scores

TRIALS = 120


def winners(aurocs: list[float], parts: int, seed: int) -> list[str | None]:
    """Of simulated comparisons, the winner beyond chance; None where there is none."""
    rng, labels = np.random.default_rng(seed), np.repeat([False, True], parts)
    names = [str(number) for number, _ in enumerate(aurocs)]
    found = []
    for _ in range(TRIALS):
        scores = gaussian_scores(labels, dict(zip(names, aurocs, strict=True)), rng)
        drawn = resample(ranking.auroc, scores, labels, list(map(str, range(2 * parts))), 200)
        best = max(drawn.figures, key=lambda name: drawn.figures[name])
        choice = choose(differences_from(best, drawn), dict.fromkeys(names, COST), dict.fromkeys(names, 0))
        found.append(choice.method if choice.beyond_chance else None)
    return found


@pytest.mark.parametrize("aurocs", [[0.8, 0.8], [0.8, 0.8, 0.5]], ids=["two", "two and a bad one"])
def test_equal_methods_have_a_winner_no_more_often_than_promised(aurocs: list[float]) -> None:
    """Although luck put the best first. 0.05 of the trials and three standard errors."""
    false = [name for name in winners(aurocs, FEWEST_PARTS, seed=1) if name is not None]
    assert len(false) <= TRIALS * (0.05 + 3 * np.sqrt(0.05 * 0.95 / TRIALS))


def test_a_truly_better_method_is_found() -> None:
    found = winners([0.95, 0.7, 0.7], 25, seed=2)
    assert found.count("0") > 0.8 * TRIALS
    assert set(found) <= {"0", None}


def told(**others: tuple[float, float]) -> Differences:
    """The best method has an AUROC of 0.95; others: their distance and Holm-corrected p-value."""
    figures = {"best": Interval(0.95, 0.9, 0.99)}
    figures |= {name: Interval(0.95 - away, 0.8, 0.99) for name, (away, _) in others.items()}
    differences = {
        name: Difference(Interval(away, away - 0.05, away + 0.05), p_value)
        for name, (away, p_value) in others.items()
    }
    return Differences("best", figures, {name: (figure.value,) for name, figure in figures.items()}, differences)


def chosen(differences: Differences, flattered: frozenset[str] = frozenset(), **costs: Cost) -> Choice:
    return choose(
        differences, {name: costs.get(name, COST) for name in differences.figures},
        dict.fromkeys(differences.figures, 7), flattered,
    )  # fmt: skip


FAST = replace(COST, images_per_second=50.0)


def test_a_winner_is_ahead_of_every_other_beyond_chance() -> None:
    choice = chosen(told(b=(0.1, 0.004), c=(0.2, 0.002)), b=FAST)
    assert (choice.method, choice.seed, choice.beyond_chance, choice.not_worse) == ("best", 7, True, ("best",))
    assert choice.sentence == (
        "best is the best method for these images. On the half that chooses, its image AUROC, 0.950, is above that "
        "of each of the 2 others beyond chance; b comes next, 0.100 below (p = 0.004, corrected for the number of "
        "methods)."
    )


def test_else_the_cheapest_of_those_not_worse_is_named() -> None:
    choice = chosen(told(b=(0.02, 0.4), c=(0.2, 0.002)), b=FAST, c=replace(FAST, images_per_second=90.0))
    assert (choice.method, choice.beyond_chance, choice.not_worse) == ("b", False, ("b", "best"))
    assert choice.standings == {"best": "best", "b": "not worse", "c": "worse"}
    assert choice.sentence == (
        "No method is ahead of every other beyond chance. On the half that chooses, best has the highest image "
        "AUROC, 0.950; b is not worse. b is named, the cheapest of these: its image AUROC is 0.930, lower by 0.020 "
        "as measured and by 0.070 at worst."
    )
    dear = chosen(told(b=(0.02, 0.4), c=(0.01, 0.05)), best=FAST)
    assert dear.sentence.endswith("b is not worse. best is named, the cheapest of these.")


def test_a_method_far_behind_is_not_named_because_few_images_cannot_tell() -> None:
    choice = chosen(told(b=(0.021, 0.4)), b=FAST)
    assert (choice.method, choice.beyond_chance, choice.not_worse) == ("best", False, ("best",))
    assert choice.standings == {"best": "best", "b": "lower"}
    assert choice.sentence == (
        "No method is ahead of every other beyond chance. On the half that chooses, best has the highest image "
        "AUROC, 0.950, and is named: no other that can be named is within 0.02 of it."
    )
    assert chosen(told(b=(0.0204, 0.4)), b=FAST).method == "b"  # printed as 0.020


@pytest.mark.parametrize(
    ("cost", "named"),
    [
        (replace(COST, images_per_second=10.04), "best"),  # the same to two digits, and dearer to train
        (replace(COST, images_per_second=10.04, training_seconds=1.0), "b"),
        (replace(COST, images_per_second=9.0, training_seconds=1.0), "best"),
    ],
)
def test_scoring_costs_count_before_training(cost: Cost, named: str) -> None:
    assert chosen(told(b=(0.0, 1.0)), b=replace(cost), best=replace(COST, training_seconds=50.0)).method == named


def test_one_method_alone_is_no_winner() -> None:
    choice = chosen(told())
    assert (choice.method, choice.beyond_chance, choice.sentence) == (
        "best", False, "best is the only method that was compared.",
    )  # fmt: skip


def test_drawn_defects_name_no_method_that_trains_on_them() -> None:
    leads = chosen(told(b=(0.1, 0.004)), frozenset({"best"}))
    assert (leads.method, leads.seed, leads.beyond_chance) == (None, None, False)
    assert "flatter what trains on them. Label real defects" in leads.sentence
    follows = chosen(told(b=(0.01, 0.8), c=(0.02, 0.6)), frozenset({"b"}), b=FAST)
    assert (follows.method, follows.not_worse) == ("best", ("best", "c"))
    assert follows.standings == {"best": "best", "b": "flattered", "c": "not worse"}
    assert follows.sentence.endswith("b cannot be named: drawn defects flatter what trains on them.")
    alone = chosen(told(b=(0.01, 0.8)), frozenset({"b"}), b=FAST)
    assert "no other that can be named is within 0.02 of it. b cannot be named" in alone.sentence
    beaten = chosen(told(b=(0.1, 0.004)), frozenset({"b"}))
    assert beaten.beyond_chance and "cannot be named" not in beaten.sentence
