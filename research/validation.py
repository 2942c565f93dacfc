"""Quality of a recipe on validation parts with synthetic defects: settings are chosen by it, without test images.

    python -m research.validation FOLDER_OF_FOLDERS [--category C]... [--seed 0] [--size 256]
        [--faintest 0.2] [--inset 0] [--model smoothing_sigma=4]... [--training steps=300]...

30 % of the parts in each folder's train/good are set apart. They are scored as they are and with a synthetic defect
each (see `research.validation_defects`); the product trains on the rest. Prints a line a category: steps, seconds,
image AUROC, pixel AUROC of the defective images, and image AUROC by kind of defect.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score

from rd_core.calibration import holdout
from rd_core.detectors.detector import Detector, Normals
from rd_core.detectors.reverse_distillation.settings import DEFAULT_RECIPE, RECIPES, recipe
from rd_core.detectors.training import train
from rd_core.pictures.preprocessing import resize
from research.validation_defects import BOARD, CASTING, TEXTURE, SyntheticDefects, draw, faded
from tasks.importing.image_folder import is_category_folder, read_folder

KINDS = {"magnetic_tile": TEXTURE, "casting": CASTING}
"""by folder; others are boards"""
HELD_OUT = 0.3
"""of the parts"""
PART_PATTERNS = {"magnetic_tile": r"exp(?P<view>\d+)_num_(?P<serial>\d+)"}
"""by folder; elsewhere each picture is a part"""
SHUFFLE = 123
"""seed of which parts; not of the training, so that seeds are compared on the same ones"""
PIXELS_APART = 2
"""every so many rows and columns count for the pixel AUROC"""


@dataclass(frozen=True)
class ValidationParts:
    """One folder's normal images, uint8 (N, S, S, 3)."""

    train: NDArray[np.uint8]
    early_stop: NDArray[np.uint8]
    normal: NDArray[np.uint8]
    """the parts set apart, as they are"""
    defective: SyntheticDefects
    """the same with a defect each"""


@dataclass(frozen=True)
class Quality:
    """How well a detector separates the two."""

    image_auroc: float
    pixel_auroc: float
    """of the defective images alone"""
    by_kind: dict[str, float]
    """image AUROC"""


def main() -> None:
    """Print a line a category."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder whose folders have train/good")
    parser.add_argument("--category", action="append", help="only this one; may be given again")
    parser.add_argument("--recipe", choices=RECIPES, default=DEFAULT_RECIPE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--faintest", type=float, default=1.0, help="strength of the faintest defect, in (0, 1]")
    parser.add_argument("--inset", type=float, default=1.0, help="0: defects lie anywhere, at the border too")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--model", action="append", type=_setting, default=[], metavar="NAME=JSON")
    parser.add_argument("--training", action="append", type=_setting, default=[], metavar="NAME=JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    size = arguments.size
    sides = {"image_height": size, "image_width": size, "map_stride": 1}
    chosen = {**sides, "seed": arguments.seed, **dict(arguments.model), **dict(arguments.training)}
    settings = recipe(arguments.recipe, **chosen)
    for folder in sorted(path for path in arguments.data.iterdir() if is_category_folder(path)):
        if not arguments.category or folder.name in arguments.category:
            parts = validation_parts(folder, size, settings.seed, arguments.faintest, arguments.inset)
            fitted = train(settings.method, settings, Normals(parts.train, parts.early_stop))
            figures = quality(fitted.detector.ready(), parts)
            kinds = ", ".join(f"{kind} {value:.2f}" for kind, value in figures.by_kind.items())
            print(
                f"{folder.name}: {fitted.report.summary}, {fitted.report.seconds:.0f} s, "
                f"image AUROC {figures.image_auroc:.3f}, pixel AUROC {figures.pixel_auroc:.3f} ({kinds})",
                flush=True,
            )


def validation_parts(
    folder: Path, size: int, seed: int, faintest: float = 1.0, inset: float = 1.0
) -> ValidationParts:
    """Decode, resize and split the folder's train/good. `seed`: of the split into training and early-stop images;
    `faintest`: see `faded`; `inset`: see `Defect`."""
    paths = [image.path for image in read_folder(folder).images if image.purpose == "training"]
    images = np.stack([resize(np.asarray(Image.open(path).convert("RGB")), size, size) for path in paths])
    names = [path.name for path in paths]
    parts = holdout.parts_of(names, PART_PATTERNS.get(folder.name))
    shuffled = sorted(set(parts))
    np.random.default_rng(SHUFFLE).shuffle(shuffled)
    apart = set(shuffled[: round(HELD_OUT * len(shuffled))])
    is_apart = np.array([part in apart for part in parts])
    kept = [i for i, held in enumerate(is_apart) if not held]
    split = holdout.split([names[i] for i in kept], [parts[i] for i in kept], seed=seed)
    train, early_stop = (images[[kept[i] for i in some]] for some in (split.train, split.early_stop))
    normal = images[is_apart]
    defective = faded(normal, draw(normal, KINDS.get(folder.name, BOARD), inset=inset), faintest)
    return ValidationParts(train, early_stop, normal, defective)


def quality(detector: Detector, parts: ValidationParts) -> Quality:
    """Score `parts` with a detector in eval mode."""
    normal, anomalous = detector.score(parts.normal), detector.score(parts.defective.images)
    kinds = np.array(parts.defective.kinds)
    some = np.s_[:, ::PIXELS_APART, ::PIXELS_APART]
    return Quality(
        image_auroc=_auroc(normal.scores, anomalous.scores),
        pixel_auroc=float(roc_auc_score(parts.defective.masks[some].ravel(), anomalous.maps[some].ravel())),
        by_kind={
            kind: _auroc(normal.scores, anomalous.scores[kinds == kind])
            for kind in dict.fromkeys(parts.defective.kinds)
        },
    )


def _auroc(normal: NDArray[np.float32], anomalous: NDArray[np.float32]) -> float:
    return float(roc_auc_score(np.repeat([0, 1], [len(normal), len(anomalous)]), np.concatenate([normal, anomalous])))


def _setting(text: str) -> tuple[str, Any]:
    """NAME=JSON, or NAME=word."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


if __name__ == "__main__":
    main()
