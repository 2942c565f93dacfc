"""Thresholds from few normals, on the stored scores of real parts.

    python -m benchmarks.resampled_thresholds [--scores FOLDER] [--method NAME]... [--results FOLDER]

From the records of benchmarks.methods: of a model's held-out scores n are drawn, 200 times, and set a threshold once
all together ("cross") and once a quarter of them alone ("split"). Each is judged by the images of test/, which set
none: false alarms, share of defects found, share under review. Beside them the share found relative to the
attainable one, at the lowest threshold with at most alpha of all good test images above. Where that finds few defects
the relation means nothing, because one good image more or less decides it: these folders are left out of it, and
named. Means over resamplings, spread over folders. "above held out" is the chance that a good image of test/ scores
above a held-out one: 0.5 where held-out scores do not flatter and the parts do not differ.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from benchmarks.record import Record, add_results_option, read_records
from rd_core.calibration.threshold import Threshold, calibrate

ALPHA = 0.01
NUMBERS = (12, 20, 40, 60)
RESAMPLES = 200
WAYS = {"cross": 1, "split": 4}
"""the drawn scores' number is divided by it"""
LEAST_ATTAINABLE = 0.3
"""recall that must be attainable where a share of it is told"""

Floats = NDArray[np.float64]


def main() -> None:
    """Resample the scores of each method and folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=Path, help="folder with records of benchmarks.methods; default --results")
    parser.add_argument("--method", action="append", help="only this one; may be given again")
    add_results_option(parser)
    given = parser.parse_args()
    record = Record.begin("resampled_thresholds")
    by_folder: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    attainable: dict[str, dict[str, float]] = defaultdict(dict)
    above: dict[str, dict[str, float]] = defaultdict(dict)
    for one in read_records(given.scores or given.results):
        if one.benchmark != "methods" or "scores" not in one.about or one.about["set"] or one.about["seed"]:
            continue
        method, folder, scores = one.about["method"], one.about["category"], one.about["scores"]
        if given.method and method not in given.method:
            continue
        good, defective = (
            np.concatenate([scores[f"{half} {word}"] for half in ("choosing", "reporting")])
            for word in ("good", "defective")
        )
        most = attainable[method][folder] = float((defective > np.quantile(good, 1 - ALPHA, method="higher")).mean())
        held_out = np.array(scores["held out"])
        chance = mannwhitneyu(good, held_out).statistic / len(good) / len(held_out)
        above[method][folder] = float(f"{chance:.3f}")
        for number in (n for n in NUMBERS if n <= len(held_out)):
            for way, figures in _resampled(held_out, good, defective, number).items():
                if most >= LEAST_ATTAINABLE:
                    figures["of attainable recall"] = figures["recall"] / most
                by_folder[f"{method}, {way}, {number}"][folder] = figures
    about = {"resamples": RESAMPLES, "attainable": attainable, "above held out": above, "by folder": by_folder}
    record.write(given.results / "resampled_thresholds.json", _over_folders(by_folder), about)


def _over_folders(by_folder: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, list[float]]]:
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row, of_folders in by_folder.items():
        for figures in of_folders.values():
            for name, value in figures.items():
                rows[row][name].append(value)
    return rows


def _resampled(held_out: Floats, good: Floats, defective: Floats, number: int) -> dict[str, dict[str, float]]:
    """Mean figures by way."""
    random = np.random.default_rng(number)
    draws = [random.permutation(held_out)[:number] for _ in range(RESAMPLES)]
    return {
        way: _judged([calibrate(draw[: max(2, number // divisor)], ALPHA) for draw in draws], good, defective)
        for way, divisor in WAYS.items()
    }


def _judged(thresholds: Sequence[Threshold], good: Floats, defective: Floats) -> dict[str, float]:
    values = np.array([[threshold.value, threshold.low, threshold.high] for threshold in thresholds])
    everything = np.concatenate([good, defective])
    undecided = (everything > values[:, 1:2]) & (everything <= values[:, 2:])
    return {
        "recall": float((defective > values[:, :1]).mean()),
        "false alarms": float((good > values[:, :1]).mean()),
        "undecided": float(undecided.mean()),
    }


if __name__ == "__main__":
    main()
