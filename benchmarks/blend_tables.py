"""What the mean of two methods' scores would find, from the records of `benchmarks.methods`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation

from benchmarks.pages import DEFAULT, NAMES, Measured, table
from rd_core.calibration.threshold import conformal_p_values
from rd_core.metrics.image_metrics import image_auroc

_Floats = NDArray[np.float64]


def _surprise(scores: _Floats, held_out: _Floats) -> _Floats:
    return 1 - conformal_p_values(scores, held_out)


def _standardised(scores: _Floats, held_out: _Floats) -> _Floats:
    return (scores - np.median(held_out)) / median_abs_deviation(held_out)


MEANS: Mapping[str, Callable[[_Floats, _Floats], _Floats]] = {
    "conformal p-values": _surprise,
    "standardised scores": _standardised,
}
"""what a mean is of: scores (n,) and those of held-out normals, to values that may be compared between methods"""


@dataclass(frozen=True)
class Blend:
    """Methods whose scores are averaged; one alone is itself."""

    methods: tuple[str, ...]
    mean: str

    @property
    def words(self) -> str:
        return " + ".join(NAMES[method] for method in self.methods)

    def auroc(self, measured: Measured, folder: str, half: str) -> float:
        """Of the first seeds. `half`: "choosing" or "reporting"."""
        good, defective = (self._scores(measured, folder, f"{half} {of}") for of in ("good", "defective"))
        return image_auroc(np.concatenate([good, defective]), np.arange(len(good) + len(defective)) >= len(good))

    def mean_auroc(self, measured: Measured, half: str) -> float:
        """Over the folders."""
        return float(np.mean([self.auroc(measured, folder, half) for folder in measured.folders]))

    def _scores(self, measured: Measured, folder: str, of: str) -> _Floats:
        some = [measured.runs(method, folder)[0].about["scores"] for method in self.methods]
        each = [MEANS[self.mean](np.array(scores[of]), np.array(scores["held out"])) for scores in some]
        return np.mean(each, axis=0)


def blends(measured: Measured) -> Iterator[str]:
    """The section of docs/benchmarks.md; nothing unless every method has scored every folder."""
    scored = [name for name in measured.methods if all(_is_scored(measured, name, at) for at in measured.folders)]
    if len(scored) < len(NAMES):
        return
    alone = [Blend((method,), "standardised scores") for method in scored]
    pairs = {mean: [Blend(pair, mean) for pair in combinations(scored, 2)] for mean in MEANS}
    yield "### Blends of two methods"
    yield (
        "The mean of two methods' conformal p-values, or of their scores in median absolute deviations of the\n"
        "held-out normals. The half of the test images that chooses named methods and pairs, by the mean over the\n"
        "folders or for each folder by itself. Image AUROC of the half that reports:"
    )
    columns = {f"{NAMES[DEFAULT]}, the default": [alone[scored.index(DEFAULT)]] * len(measured.folders)}
    columns["the best method of each folder"] = _best_of_each(measured, alone)
    for mean, some in pairs.items():
        best = max(some, key=lambda one: one.mean_auroc(measured, "choosing"))
        columns[f"{best.words}, mean of {mean}"] = [best] * len(measured.folders)
        columns[f"the best pair of each folder, mean of {mean}"] = _best_of_each(measured, some)
    yield table(["folder", *columns], _rows(measured, list(columns.values())))


def _is_scored(measured: Measured, method: str, folder: str) -> bool:
    return any("scores" in run.about for run in measured.runs(method, folder)[:1])


def _best_of_each(measured: Measured, some: Sequence[Blend]) -> list[Blend]:
    """By folder; of equals the first."""
    return [max(some, key=lambda one: one.auroc(measured, folder, "choosing")) for folder in measured.folders]


def _rows(measured: Measured, columns: Sequence[Sequence[Blend]]) -> Iterator[list[str]]:
    figures = [
        [one.auroc(measured, folder, "reporting") for one, folder in zip(column, measured.folders, strict=True)]
        for column in columns
    ]
    for place, folder in enumerate(measured.folders):
        yield [folder, *(f"{column[place]:.3f}" for column in figures)]
    yield ["mean", *(f"{np.mean(column):.3f}" for column in figures)]
