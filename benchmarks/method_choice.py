"""How often a comparison names the right method, by what is true and the number of parts that choose.

    python -m benchmarks.method_choice [--repeats 400]

Scores are Gaussian, one image a part, and half of their variance is the image's own, the same for all methods. The
second method is the cheapest. Each repeat draws the scores of the choosing half, with as many parts of either label.
"""

import argparse
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.record import Record, add_results_option
from rd_core.comparison.contender import Cost
from rd_core.comparison.differences import differences_from, resample
from rd_core.comparison.halves import FEWEST_PARTS
from rd_core.comparison.winner import Choice, choose
from rd_core.metrics import ranking

TRUTHS = {
    "two of 0.85": (0.85, 0.85),
    "four of 0.85": (0.85, 0.85, 0.85, 0.85),
    "two of 0.90, one of 0.50": (0.90, 0.90, 0.50),
    "0.95 beside 0.85": (0.95, 0.85),
    "0.95 beside three of 0.85": (0.95, 0.85, 0.85, 0.85),
    "0.95 beside three of 0.75": (0.95, 0.75, 0.75, 0.75),
}
"""true image AUROCs of the methods"""
PARTS = (FEWEST_PARTS // 2, FEWEST_PARTS, 25, 50)
"""of either label, in the half that chooses"""
RESAMPLES = 400
_DEAR = Cost(training_seconds=60.0, images_per_second=10.0, peak_memory=0, model_bytes=0)


def main() -> None:
    """Draw, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=400, help="comparisons a cell; default %(default)s")
    add_results_option(parser)
    given = parser.parse_args()
    record = Record.begin("method_choice")
    rows = {
        f"{truth}, {parts} parts": _shares(aurocs, parts, given.repeats)
        for truth, aurocs in TRUTHS.items()
        for parts in PARTS
    }
    record.write(given.results / "method_choice.json", rows, {"repeats": given.repeats, "resamples": RESAMPLES})


def _shares(aurocs: tuple[float, ...], parts: int, repeats: int) -> dict[str, float]:
    """Shares of comparisons whose winner is truly the best one, or is not, and that name the cheapest method."""
    random = np.random.default_rng(0)
    choices = [_choice(aurocs, parts, random) for _ in range(repeats)]
    winners = [choice.method for choice in choices if choice.beyond_chance]
    best = [str(place) for place, auroc in enumerate(aurocs) if auroc == max(aurocs)]
    right = [winner for winner in winners if best == [winner]]
    return {
        "winner": len(right) / repeats,
        "false winner": (len(winners) - len(right)) / repeats,
        "cheapest named": sum(choice.method == "1" for choice in choices) / repeats,
    }


def _choice(aurocs: tuple[float, ...], parts: int, random: np.random.Generator) -> Choice:
    labels = np.repeat([False, True], parts)
    scores = {str(place): one for place, one in enumerate(_scores(labels, aurocs, random))}
    drawn = resample(ranking.auroc, scores, labels, [str(part) for part in range(2 * parts)], RESAMPLES)
    best = max(drawn.figures, key=lambda name: drawn.figures[name])
    costs = dict.fromkeys(scores, _DEAR) | {"1": replace(_DEAR, images_per_second=50.0)}
    return choose(differences_from(best, drawn), costs, dict.fromkeys(scores, 0))


def _scores(
    labels: NDArray[np.bool_], aurocs: tuple[float, ...], random: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Of each method [1, n]: one seed."""
    own = random.normal(size=len(labels))
    return [
        (np.sqrt(0.5) * (own + random.normal(size=len(labels))) + np.sqrt(2) * norm.ppf(auroc) * labels)[None]
        for auroc in aurocs
    ]


if __name__ == "__main__":
    main()
