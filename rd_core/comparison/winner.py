"""Which method is named, by the half of the images that chooses alone.

The best of several methods is ahead by luck in part, and more so the more there are. So a method is the winner only
if it is ahead of each other beyond chance, after a correction for their number (see differences.py). Otherwise the
cheapest of those not worse is named, because every night pays for scoring: of the best and of those that are neither
worse beyond chance nor more than NEAR below it as measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rd_core.comparison.contender import Cost
from rd_core.comparison.differences import Difference, Differences
from rd_core.metrics.intervals import CONFIDENCE

NEAR = 0.02
"""of image AUROC. That few images show no difference does not show that there is none. In simulations with 16 parts
of either label (benchmarks/method_choice.py), a cheaper method of 0.85 beside one of 0.95 was not worse beyond chance
in 64 % of comparisons, and with this limit named in 11 %. One as good as the dearer was named in two of three."""

Standing = Literal["best", "not worse", "lower", "worse", "flattered"]
"""of a method beside the best: lower by more than NEAR but not beyond chance; worse beyond chance; or flattered by
drawn defects, and so not to be named"""


@dataclass(frozen=True)
class Choice:
    """The method that is named, and why."""

    method: str | None
    """None if none is named"""
    seed: int | None
    """of the named method's typical model; None if none is named"""
    beyond_chance: bool
    """whether it is ahead of each other method beyond chance"""
    not_worse: tuple[str, ...]
    """the best and the methods not worse, cheapest first; empty if none is named"""
    standings: Mapping[str, Standing]
    """of each method; empty if nothing was chosen"""
    sentence: str
    """the verdict with its reason"""


def choose(
    differences: Differences,
    costs: Mapping[str, Cost],
    typical: Mapping[str, int],
    flattered: frozenset[str] = frozenset(),
) -> Choice:
    """Name a method from the differences between the best one and the others.

    costs, typical: of each method, its cost and the seed of its typical model. flattered: methods that learn from
    defects drawn like those that judge, which are not named by them.
    """
    best, others = differences.reference, differences.others
    level = 1 - CONFIDENCE
    standings = {name: _standing(others.get(name), name in flattered, level) for name in differences.figures}
    if best in flattered:
        return Choice(None, None, False, (), standings, _flattered(best))
    nameable = [name for name, standing in standings.items() if standing in ("best", "not worse")]
    not_worse = tuple(sorted(nameable, key=lambda name: expense(costs[name], name)))
    beyond = bool(others) and all(other.p_value <= level for other in others.values())
    sentence = _winner(differences) if beyond else _cheapest(not_worse, differences)
    left_out = sorted(name for name, standing in standings.items() if standing == "flattered")
    if left_out:
        sentence += f" {_listed(left_out)} cannot be named: drawn defects flatter what trains on them."
    named = not_worse[0]
    return Choice(named, typical[named], beyond, not_worse, standings, sentence)


def _standing(other: Difference | None, flattered: bool, level: float) -> Standing:
    """other: the best method's figure - this one's; None: it is the best."""
    if other is not None and other.p_value <= level:
        return "worse"
    if other is not None and round(other.interval.value, 3) > NEAR:  # as it is printed
        return "lower"
    if flattered:
        return "flattered"
    return "best" if other is None else "not worse"


def expense(cost: Cost, method: str) -> tuple[float, float, str]:
    """A key to sort methods by, cheapest first: images a processor second to two digits, training, then the name."""
    return -float(f"{cost.images_per_second:.2g}"), cost.training_seconds, method


def _winner(differences: Differences) -> str:
    best, others = differences.reference, differences.others
    nearest = min(others, key=lambda name: others[name].interval.value)
    every = "the other method" if len(others) == 1 else f"each of the {len(others)} others"
    chance = max(other.p_value for other in others.values())
    return (
        f"{best} is the best method for these images. On the half that chooses, its image AUROC, "
        f"{differences.figures[best].value:.3f}, is above that of {every} beyond chance; {nearest} comes next, "
        f"{others[nearest].interval.value:.3f} below "
        f"({_chance(chance)}, corrected for the number of methods)."
    )


def _cheapest(not_worse: Sequence[str], differences: Differences) -> str:
    best, figures, named = differences.reference, differences.figures, not_worse[0]
    if not differences.others:
        return f"{best} is the only method that was compared."
    start = (
        f"No method is ahead of every other beyond chance. On the half that chooses, {best} has the highest image "
        f"AUROC, {figures[best].value:.3f}"
    )
    tied = [name for name in not_worse if name != best]
    if not tied:
        return f"{start}, and is named: no other that can be named is within {NEAR:g} of it."
    start += f"; {_listed(tied)} {'is' if len(tied) == 1 else 'are'} not worse. "
    if named == best:
        return f"{start}{named} is named, the cheapest of these."
    loss = differences.others[named].interval
    return (
        f"{start}{named} is named, the cheapest of these: its image AUROC is {figures[named].value:.3f}, lower by "
        f"{loss.value:.3f} as measured and by {max(loss.high, 0.0):.3f} at worst."
    )


def _flattered(best: str) -> str:
    return (
        f"No method is named. {best} has the highest image AUROC, but the defects that judge are drawn, and drawn "
        "defects flatter what trains on them. Label real defects for evaluation, and compare again."
    )


def _chance(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
