"""What defects among the images do to a threshold, on scores drawn from known laws, so that real rates are exact.

    python -m proofs.contamination [--trials 40] [--results FOLDER]

Clean: n held-out scores of normal images, of which some are set aside. Labelled: so many scores of images called
normal, of which a share is of defects; suspicious ones are set aside, and the rest calibrates. Unlabelled: n
production scores after a change of light (times 1.3, and moved), of which a share is of defects; 100 held-out scores
from before are the reference. Defects are clear (1.5 to 3 times as far from the median as one normal image in 1,000)
or faint (like the highest tenth of normal images). Recall is that of clear defects; "naive" is without any care.

Exit code 1 if more normals are set aside, or a threshold keeps its promise less, than is stated below.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Record, Values, add_results_option
from proofs.score_laws import LAWS, Law
from rd_core.calibration.suspects import suspicious
from rd_core.calibration.threshold import calibrate
from rd_core.calibration.unlabelled import calibrate_unlabelled

ALPHA = 0.01
CLEAN, LABELLED, UNLABELLED = (12, 20, 40, 100, 400), (20, 40, 100), (200, 1000, 5000)
LABELLED_SHARES, UNLABELLED_SHARES = (0.0, 0.02, 0.05, 0.1), (0.0, 0.01, 0.05, 0.1)
REFERENCE = 100
MOST_NORMALS = 0.005
"""largest share of normals set aside where no defect is, for each law and number"""
MOST_TRAININGS = 0.05
"""largest share of such trainings that lose more than one"""
MOST_FALSE_ALARMS = 1.5
"""largest real rate of unlabelled thresholds over alpha, on average over the laws"""
_TESTED = 200

Floats = NDArray[np.float64]
Figures = dict[str, float]


@dataclass(frozen=True)
class Cell:
    """n scores, of which a share is of clear or faint defects."""

    n: int
    share: float = 0.0
    kind: str = "clear"

    @property
    def words(self) -> str:
        """For a row."""
        return f"{self.n}, {self.share:.0%} {self.kind}" if self.share else f"{self.n}, none"

    def draw(self, law: Law, random: np.random.Generator, defects: int) -> tuple[Floats, Floats]:
        """All scores (n,), those of defects first, and the latter."""
        bad = law.clear(random, defects) if self.kind == "clear" else law.faint(random, defects)
        return np.concatenate([bad, law.draw(random, self.n - defects)]), bad


def main() -> int:
    """Simulate all; say what breaks a promise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40, help="a law and row, clean ones ten times; %(default)s")
    add_results_option(parser)
    arguments = parser.parse_args()
    record = Record.begin("contamination")
    rows = {f"clean, {n}": _by_law(clean, Cell(n), 10 * arguments.trials) for n in CLEAN}
    rows |= {f"labelled, {cell.words}": _by_law(labelled, cell, arguments.trials) for cell in _cells(LABELLED)}
    rows |= {f"unlabelled, {cell.words}": _by_law(unlabelled, cell, arguments.trials) for cell in _cells(UNLABELLED)}
    record.write(arguments.results / "contamination.json", rows, {"trials": arguments.trials, "alpha": ALPHA})
    wrong = [row for row, figures in rows.items() if _broken(row, figures)]
    print("\n".join(f"{row}: beyond what is promised" for row in wrong))
    return int(bool(wrong))


def clean(cell: Cell, law: Law, random: np.random.Generator) -> Figures:
    """One training without defects."""
    lost = len(suspicious(law.draw(random, cell.n)).numbers)
    return {"normals set aside": lost / cell.n, "lost more than one": float(lost > 1)}


def labelled(cell: Cell, law: Law, random: np.random.Generator) -> Figures:
    """One training; the number of defects is binomial."""
    defects = int(random.binomial(cell.n, cell.share))
    scores, _ = cell.draw(law, random, defects)
    aside = np.array(suspicious(scores).numbers, int)
    careful = calibrate(np.delete(scores, aside), ALPHA).value
    naive = calibrate(scores, ALPHA).value
    tested = law.clear(random, _TESTED)
    found = {"defects set aside": float(np.mean(np.isin(np.arange(defects), aside)))} if defects else {}
    return found | _judged(law, tested, careful, naive)


def unlabelled(cell: Cell, law: Law, random: np.random.Generator) -> Figures:
    """One recalibration."""
    scores, _ = cell.draw(law, random, round(cell.share * cell.n))
    reference, tested, moved = law.draw(random, REFERENCE), law.clear(random, _TESTED), 0.2 * law.median
    found = calibrate_unlabelled(1.3 * scores + moved, ALPHA, reference=reference)
    naive = calibrate(scores, ALPHA).value
    return {"left out": found.defects} | _judged(law, tested, (found.threshold.value - moved) / 1.3, naive)


def _cells(numbers: tuple[int, ...]) -> list[Cell]:
    shares = LABELLED_SHARES if numbers is LABELLED else UNLABELLED_SHARES
    return [
        Cell(n, share, kind)
        for n in numbers
        for share in shares
        for kind in (("clear", "faint") if share else ("clear",))
    ]


def _judged(law: Law, tested: Floats, careful: float, naive: float) -> Figures:
    rate, naive_rate = (float(law.above(np.array(value))) for value in (careful, naive))
    return {
        "rate": rate, "above twice alpha": float(rate > 2 * ALPHA), "recall": float(np.mean(tested > careful)),
        "naive rate": naive_rate,
        "naive above twice alpha": float(naive_rate > 2 * ALPHA), "naive recall": float(np.mean(tested > naive)),
    }  # fmt: skip


def _by_law(trial: Callable[[Cell, Law, np.random.Generator], Figures], cell: Cell, trials: int) -> dict[str, Values]:
    """Means over trials, one a law."""
    figures: dict[str, list[float]] = {}
    for number, law in enumerate(LAWS.values()):
        random = np.random.default_rng((number, cell.n))
        some = [trial(cell, law, random) for _ in range(trials)]
        for name in dict.fromkeys(name for one in some for name in one):
            figures.setdefault(name, []).append(float(np.mean([one[name] for one in some if name in one])))
    return dict(figures)


def _broken(row: str, figures: dict[str, Values]) -> bool:
    if row.startswith("clean"):
        return bool(
            np.max(figures["normals set aside"]) > MOST_NORMALS
            or np.max(figures["lost more than one"]) > MOST_TRAININGS
        )
    return row.startswith("unlabelled") and bool(np.mean(figures["rate"]) > MOST_FALSE_ALARMS * ALPHA)


if __name__ == "__main__":
    sys.exit(main())
