"""Seconds of training until the validation quality is near its last: the authors' loop, and ours on like networks.

    python -m benchmarks.time_to_quality FOLDER [--size 256] [--epochs 200] [--seed 0]

FOLDER has train/good. Quality is the image AUROC of drawn defects on parts that were set apart (see
`benchmarks.validation`). Theirs: `benchmarks.authors_loop` for the paper's 200 epochs, with the paper's map. Ours:
the default recipe, and shorter trainings of it, each from its beginning, with the teacher's pass and the shares of
the map in its time, in float32 and in bfloat16. At a constant rate, as theirs is, the weights after some steps are
those of a training that is so short. Both have the default teacher, whose unused stages neither computes. Looking at
the validation parts takes no part in the time.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.authors_loop import SETTINGS, AuthorsLoop
from benchmarks.validation import ValidationParts, quality, validation_parts
from rd_core.detectors.reverse_distillation.descent import batches
from rd_core.detectors.reverse_distillation.model import build_model, prepare_for_inference
from rd_core.detectors.reverse_distillation.settings import PRECISIONS, Precision, model_config, recipe
from rd_core.detectors.reverse_distillation.training import fit
from rd_core.features.backbone import Teacher

STEPS = (10, 20, 40, 80, 150, 300, 600)
"""of our trainings; the last is the default"""
LOOKS = 40
"""at theirs, evenly apart"""
SHARE, CHANCE = 0.95, 0.5

Curve = list[tuple[float, float]]
"""(seconds, image AUROC), as the training goes on"""


def main() -> None:
    """Print both curves and when each is near its end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--epochs", type=int, default=200, help="of the authors' loop")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    parts = validation_parts(arguments.folder, arguments.size, arguments.seed)
    print(f"{arguments.folder.name}: {len(parts.train)} images to train, {len(parts.unmarred)} set apart", flush=True)
    curves = {"theirs": _their_curve(parts, arguments.size, arguments.epochs, arguments.seed)}
    _print("theirs", curves["theirs"])
    for precision in PRECISIONS:
        curve = curves[f"ours in {precision}"] = _our_curve(parts, arguments.size, arguments.seed, precision)
        _print(f"ours in {precision}", curve)
    theirs, ours = (curves[name][-1][1] for name in ("theirs", "ours in float32"))
    for whose, final in (("its own last", None), ("their last", theirs), ("our last in float32", ours)):
        levels = {name: CHANCE + SHARE * ((final or curve[-1][1]) - CHANCE) for name, curve in curves.items()}
        told = (f"{name} {_told(_seconds_to(curve, levels[name]))}" for name, curve in curves.items())
        print(f"{SHARE:.0%} of {whose} above chance: {', '.join(told)}")


def _print(name: str, curve: Curve) -> None:
    print(f"{name}: " + ", ".join(f"{auroc:.3f} after {seconds:.0f} s" for seconds, auroc in curve), flush=True)


def _their_curve(parts: ValidationParts, size: int, epochs: int, seed: int) -> Curve:
    torch.manual_seed(seed)
    model = build_model(model_config("paper", teacher="efficientnet_lite0", image_height=size, image_width=size))
    loop = AuthorsLoop(model, partial(_with_gradients, model.teacher.requires_grad_(True)))
    order = batches(len(parts.train), SETTINGS.batch_size, seed)
    steps = epochs * -(-len(parts.train) // SETTINGS.batch_size)
    looks = {round(steps * (number + 1) / LOOKS) for number in range(LOOKS)}
    curve: Curve = []
    spent = 0.0
    for step in range(1, steps + 1):
        began = time.perf_counter()
        loop.step(loop.normalised(parts.train[next(order)]))
        spent += time.perf_counter() - began
        if step in looks:
            curve.append((spent, quality(model.eval(), parts).image_auroc))
    return curve


def _with_gradients(teacher: Teacher, batch: Tensor) -> tuple[Tensor, ...]:
    """The teacher's maps, as the authors' code computes them."""
    features = [batch]
    for stage in teacher.stages:
        features.append(stage(features[-1]))
    return tuple(features[1:])


def _our_curve(parts: ValidationParts, size: int, seed: int, precision: Precision) -> Curve:
    config = model_config(image_height=size, image_width=size, precision=precision)
    curve: Curve = []
    for steps in STEPS:
        fitted = fit(config, recipe(seed=seed, steps=steps), parts.train, parts.early_stop)
        curve.append((fitted.seconds, quality(prepare_for_inference(fitted.model), parts).image_auroc))
    return curve


def _seconds_to(curve: Curve, level: float) -> float | None:
    return next((seconds for seconds, auroc in curve if auroc >= level), None)


def _told(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f} s"


if __name__ == "__main__":
    main()
