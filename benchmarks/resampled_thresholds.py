"""Thresholds from few normals, on the stored scores of real parts.

    python -m benchmarks.resampled_thresholds [--results FOLDER]

From the records of benchmarks.methods: of a model's held-out scores n are drawn, 200 times, and set a threshold once
all together ("cross") and once a quarter of them alone ("split"). Each is judged by the images of test/, which set
none: false alarms, share of defects found, share under review, and the found share relative to that at the lowest
threshold with at most alpha of all good test images above. Means over resamplings, spread over folders.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.pages import DEFAULT
from benchmarks.record import Record, add_results_option, read_records
from rd_core.calibration.threshold import Threshold, calibrate

ALPHA = 0.01
NUMBERS = (12, 20, 40, 60)
RESAMPLES = 200
WAYS = {"cross": 1, "split": 4}
"""the drawn scores' number is divided by it"""

Floats = NDArray[np.float64]


def main() -> None:
    """Resample the default method's scores on each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="resampled_thresholds", help="of the record")
    add_results_option(parser)
    given = parser.parse_args()
    record = Record.begin(given.name)
    scored = [one for one in read_records(given.results) if one.benchmark == "methods" and "scores" in one.about]
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in (one for one in scored if one.about["method"] == DEFAULT):
        scores = one.about["scores"]
        good, defective = (
            np.concatenate([scores[f"{half} {word}"] for half in ("choosing", "reporting")])
            for word in ("good", "defective")
        )
        held_out = np.array(scores["held out"])
        for number in (n for n in NUMBERS if n <= len(held_out)):
            for way, figures in _resampled(held_out, good, defective, number).items():
                for name, value in figures.items():
                    rows[f"{way}, {number}"][name].append(value)
    folders = sorted(one.about["category"] for one in scored if one.about["method"] == DEFAULT)
    about = {"folders": folders, "resamples": RESAMPLES, "by folder": rows}
    record.write(given.results / f"{given.name}.json", rows, about)


def _resampled(held_out: Floats, good: Floats, defective: Floats, number: int) -> Mapping[str, dict[str, float]]:
    """Mean figures by way."""
    random = np.random.default_rng(number)
    draws = [random.permutation(held_out)[:number] for _ in range(RESAMPLES)]
    attainable = float((defective > np.quantile(good, 1 - ALPHA, method="higher")).mean())
    return {
        way: _judged(
            [calibrate(draw[: max(2, number // divisor)], ALPHA) for draw in draws], good, defective, attainable
        )
        for way, divisor in WAYS.items()
    }


def _judged(thresholds: Sequence[Threshold], good: Floats, defective: Floats, attainable: float) -> dict[str, float]:
    values = np.array([[threshold.value, threshold.low, threshold.high] for threshold in thresholds])
    everything = np.concatenate([good, defective])
    undecided = (everything > values[:, 1:2]) & (everything <= values[:, 2:])
    recall = float((defective > values[:, :1]).mean())
    return {
        "false alarms": float((good > values[:, :1]).mean()),
        "recall": recall,
        "of attainable recall": recall / attainable,
        "undecided": float(undecided.mean()),
    }


if __name__ == "__main__":
    main()
