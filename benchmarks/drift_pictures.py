"""Days until a change is told, and what it is taken for, on drawn pictures scored by a trained model.

    python -m benchmarks.drift_pictures [--product printed_part] [--months 50] [--quiet 200] [--calibration 100]
                                       [--images 200] [--size 96] [--pool 1200]

A model is trained once on the generated factory's good parts. Then a pool of pictures of every condition is drawn and
scored: scores and image statistics as a night would keep them. Each month draws its calibration from one half of the
good ones and its nights from the other, with replacement, 1 % of them defective. Parts, light and camera are as the
pictures have them; only the share of each is simulated. `benchmarks.drift_months` says how a month is judged.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass

import numpy as np
import torch
from dask.system import cpu_count
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from benchmarks.drift_months import DAYS, Day, outcome, print_change, print_head, print_quiet
from demo import brushed_metal, defects, lighting, printed_part, woven_cloth
from rd_core.calibration.threshold import calibrate
from rd_core.detectors.reverse_distillation.model import ReverseDistillation, prepare_for_inference
from rd_core.detectors.reverse_distillation.settings import DEFAULT_RECIPE, MICRO_BATCH, model_config, recipe
from rd_core.detectors.reverse_distillation.training import fit
from rd_core.drift.causes import FOCUS_OR_CAMERA, LIGHT_OR_CAMERA, MORE_DEFECTS, POSITION_OR_FIXTURE, STATISTICS
from rd_core.drift.settings import DriftSettings
from rd_core.drift.verdict import HOLD, RETRAIN, STOP_THE_LINE
from rd_core.drift.window import Baseline, baseline
from rd_core.pictures.image_statistics import image_statistics

ALPHA = 0.01
DEFECTS = 0.01
"""share of defective parts on ordinary days"""
TEACHER = "efficientnet_lite0"
NORMALS, EARLY_STOP, STEPS = 200, 30, 200
PRODUCTS = {"woven_cloth": woven_cloth.draw, "brushed_metal": brushed_metal.draw, "printed_part": printed_part.draw}

Picture = NDArray[np.float32]
"""(H, W, 3) in [0, 1]"""


@dataclass(frozen=True)
class Change:
    """What becomes of every picture from day 10 on, and what should be said of it."""

    alter: Callable[[Picture], Picture]
    verdict: str
    cause: str | None
    """the right one, first of the list"""
    defects: float = DEFECTS
    """share of defective parts from then on"""


def _blurred(sigma: float) -> Callable[[Picture], Picture]:
    return lambda picture: gaussian_filter(picture, (sigma, sigma, 0))


def _moved(share: float) -> Callable[[Picture], Picture]:
    """Sideways by this share of the width: a fixture that came loose."""
    return lambda picture: shift(picture, (0, share * picture.shape[1], 0), order=1, mode="nearest")


CHANGES = {
    "light, far gone": Change(lambda picture: lighting.drift(picture, 1.0), RETRAIN, LIGHT_OR_CAMERA),
    "light, a third of it": Change(lambda picture: lighting.drift(picture, 0.3), RETRAIN, LIGHT_OR_CAMERA),
    "blur, 1 pixel": Change(_blurred(1.0), RETRAIN, FOCUS_OR_CAMERA),
    "blur, half a pixel": Change(_blurred(0.5), RETRAIN, FOCUS_OR_CAMERA),
    "moved by 4 %": Change(_moved(0.04), RETRAIN, POSITION_OR_FIXTURE),
    "moved by 1 %": Change(_moved(0.01), RETRAIN, POSITION_OR_FIXTURE),
    "defects 1 % to 5 %": Change(lambda picture: picture, STOP_THE_LINE, MORE_DEFECTS, defects=0.05),
}
NONE = Change(lambda picture: picture, HOLD, None)


@dataclass(frozen=True)
class Pool:
    """Scored pictures of one condition."""

    good: Day
    defective: Day


@dataclass(frozen=True)
class DrawnProduction:
    """Months whose days are drawn from pools."""

    calibration_pool: Day
    """good pictures none of which comes on a day"""
    ordinary: Pool
    changed: Pool
    defects_changed: float
    images: int
    """a day"""
    calibration: int
    """held-out normals of a month's model"""
    change_day: int = 10

    def baseline(self, random: np.random.Generator) -> Baseline:
        scores, statistics = _some(self.calibration_pool, self.calibration, random, replace=False)
        named = dict(zip(STATISTICS, statistics.T, strict=True))
        return baseline(scores, ALPHA, calibrate(scores, ALPHA).value, named)

    def day(self, changed: bool, random: np.random.Generator) -> Day:
        pool = self.changed if changed else self.ordinary
        bad = int(random.binomial(self.images, self.defects_changed if changed else DEFECTS))
        parts = [_some(pool.good, self.images - bad, random), _some(pool.defective, bad, random)]
        return np.concatenate([scores for scores, _ in parts]), np.concatenate([found for _, found in parts])

    def golden(self, *_: object) -> None:
        """None are replayed: the model stays the same."""


def main() -> None:
    """Print a line a change and the quiet months."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--product", choices=PRODUCTS, default="printed_part")
    parser.add_argument("--months", type=int, default=50)
    parser.add_argument("--quiet", type=int, default=200)
    parser.add_argument("--calibration", type=int, default=100)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--pool", type=int, default=1200, help="good pictures of every condition")
    arguments = parser.parse_args()
    settings = DriftSettings(resamples=50)  # the null bands are no part of the verdict
    torch.set_num_threads(cpu_count())
    started = time.perf_counter()
    draw = PRODUCTS[arguments.product]
    model = _trained(draw, arguments.size)
    print(f"{arguments}, {DAYS} days, alpha {ALPHA}; trained after {time.perf_counter() - started:.0f} s", flush=True)
    calibration = _scored(model, [draw(_random(1, i), arguments.size) for i in range(arguments.pool)])
    ordinary = _pool(model, arguments, NONE)

    def production(change: Change, pool: Pool) -> DrawnProduction:
        return DrawnProduction(calibration, ordinary, pool, change.defects, arguments.images, arguments.calibration)

    print_head(f"{arguments.product}, {arguments.calibration} calibration images")
    for name, change in CHANGES.items():
        line = production(change, _pool(model, arguments, change))
        found = [outcome(line, seed, settings) for seed in range(arguments.months)]
        print_change(name, found, change.verdict, change.cause)
    print_quiet(production(NONE, ordinary), arguments.quiet, settings)
    print(f"{time.perf_counter() - started:.0f} s")


def _random(kind: int, index: int) -> np.random.Generator:
    """kind: 0 training, 1 calibration, 2 good parts, 3 defective ones; no two pictures share their noise."""
    return np.random.default_rng((kind, index))


def _trained(draw: Callable[[np.random.Generator, int], Picture], size: int) -> ReverseDistillation:
    normals = [_bytes(draw(_random(0, i), size)) for i in range(NORMALS + EARLY_STOP)]
    config = model_config(DEFAULT_RECIPE, teacher=TEACHER, image_height=size, image_width=size)
    settings = recipe(DEFAULT_RECIPE, seed=0, steps=STEPS)
    return prepare_for_inference(fit(config, settings, normals[:NORMALS], normals[NORMALS:]).model)


def _pool(model: ReverseDistillation, arguments: argparse.Namespace, change: Change) -> Pool:
    """The same parts under every condition: what differs is the change alone."""
    draw = PRODUCTS[arguments.product]
    good = [change.alter(draw(_random(2, i), arguments.size)) for i in range(arguments.pool)]
    defective = []
    for index in range(arguments.pool // 6):
        random = _random(3, index)
        kinds = list(defects.KINDS[arguments.product].values())
        picture, _ = kinds[index % len(kinds)](draw(random, arguments.size), random, float(random.uniform(0, 1)))
        defective.append(change.alter(picture))
    return Pool(_scored(model, good), _scored(model, defective))


def _scored(model: ReverseDistillation, pictures: list[Picture]) -> Day:
    images = np.stack([_bytes(picture) for picture in pictures])
    found = [model.score(images[start : start + MICRO_BATCH]) for start in range(0, len(images), MICRO_BATCH)]
    distances = np.concatenate([one.feature_distances for one in found])
    light = [image_statistics(image) for image in images]
    statistics = np.array([(*astuple(s), d) for s, d in zip(light, distances, strict=True)], dtype=np.float64)
    return np.concatenate([one.scores for one in found]).astype(np.float64), statistics


def _bytes(picture: Picture) -> NDArray[np.uint8]:
    return np.rint(picture * 255).clip(0, 255).astype(np.uint8)


def _some(pool: Day, count: int, random: np.random.Generator, *, replace: bool = True) -> Day:
    scores, statistics = pool
    chosen = random.choice(len(scores), count, replace=replace)
    return scores[chosen], statistics[chosen]


if __name__ == "__main__":
    main()
