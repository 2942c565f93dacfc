"""Judged images and contenders with Gaussian scores of a known AUROC."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from rd_core.comparison.contender import Contender, Cost
from rd_core.comparison.judged_images import JudgedImage, labels_of

COST = Cost(training_seconds=60.0, images_per_second=10.0, peak_memory=10**9, model_bytes=10**7)


def judged(parts: int = 40, kinds: Sequence[str] = ("hole", "stain"), *, drawn: bool = False) -> list[JudgedImage]:
    """`parts` parts with a normal image and as many with an anomalous one, kinds in turn, defects of 1 %."""
    normal = [JudgedImage(f"good/{n}", f"good {n}", False) for n in range(parts)]
    return normal + [
        JudgedImage(f"bad/{n}", f"bad {n}", True, kinds[n % len(kinds)], 0.01, drawn) for n in range(parts)
    ]


def gaussian_scores(
    is_anomalous: NDArray[np.bool_], aurocs: Mapping[str, float], rng: np.random.Generator, seeds: int = 1
) -> dict[str, NDArray[np.float64]]:
    """Scores [seeds, n] of methods with these true AUROCs; half of the variance is the images', the same for all."""
    shared = rng.normal(size=len(is_anomalous))
    return {
        name: np.sqrt(0.5) * (shared + rng.normal(size=(seeds, len(shared))))
        + np.sqrt(2) * norm.ppf(auroc) * is_anomalous
        for name, auroc in aurocs.items()
    }


def contenders(
    images: Sequence[JudgedImage], aurocs: Mapping[str, float], *, seeds: int = 1, seed: int = 0,
    costs: Mapping[str, Cost] | None = None, flattered: Sequence[str] = (),
) -> list[Contender]:  # fmt: skip
    """One for each method and seed, with a threshold of 2 and a review band from 1.8 to 2.2."""
    scores = gaussian_scores(labels_of(images), aurocs, np.random.default_rng(seed), seeds)
    return [
        Contender(name, number, row, 2.0, (1.8, 2.2), (costs or {}).get(name, COST), None, name in flattered)
        for name, rows in scores.items()
        for number, row in enumerate(rows)
    ]
